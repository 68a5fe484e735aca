"""Takes out of the store what a bootstrap that was killed has left there: the empty key `initialize`, for which all members would wait for ever.

Argument: Patroni's configuration file; empty if it is in PATRONI_CONFIGURATION. Waits for the store, as Patroni does, and for another member that
may be the one that is making the cluster: either that one succeeds and is leader, or its key goes with it.
"""

import logging
import sys
import time

from patroni.config import Config
from patroni.dcs import get_dcs
from patroni.exceptions import DCSError

IDLE = ("stopped", "initdb failed", "custom bootstrap failed", "start failed")


def say(text):
    print(f"entrypoint: {text}", file=sys.stderr)


def settled(dcs, name):
    """Whether there is nothing left to do."""
    cluster = dcs.get_cluster()
    if cluster.initialize != "" or not cluster.is_unlocked():
        return True
    busy = [member.name for member in cluster.members if member.name != name and member.data.get("state") not in IDLE]
    if busy:
        say(f"the store says that a cluster is being made: waiting for what becomes of {', '.join(busy)}")
        return False
    dcs.cancel_initialization()
    say("removed from the store that a cluster is being made, which the start that did not complete has left there")
    return True


def main():
    logging.basicConfig(level=logging.WARNING)
    config = Config(sys.argv[1] or None)
    # As patronictl connects: without a session of its own.
    dcs = get_dcs({**config.copy(), "patronictl": True})
    while True:
        try:
            if settled(dcs, config["name"]):
                return
        except DCSError as error:
            say(f"the store does not answer, trying again: {error}")
        time.sleep(5)


main()
