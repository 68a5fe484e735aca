"""What only Patroni's own Python can answer. The command is one of:

check FILE [STORE...]   says what a patroni.yml of the user's lacks, one fault a line: exit status 0 if nothing, 1 if something. STORE are the
                        stores that variables name
rest-target FILE        prints where Patroni's REST interface can be asked from inside the container, "scheme host port", and then the files of its
                        certificate that FILE itself names, one a line
release FILE            takes out of the store what a bootstrap that was killed has left there
passwords FILE          writes FILE, which only its owner may read: the passwords in the environment of the roles that Patroni logs in with
sources HOST...         prints the addresses of this machine from which connections to the hosts come
value FILE KEY          prints what FILE has at KEY, such as postgresql.authentication.superuser.password, and no line feed

FILE is a file, a directory of files, or "environment" for the text in PATRONI_CONFIGURATION; `release` takes an empty name for that. Reads as
Patroni does: variables override a file, but not PATRONI_CONFIGURATION.
"""

import os
import sys
from glob import glob

import yaml

NEEDED = ("scope", "name", "restapi.listen", "postgresql.listen", "postgresql.data_dir")
STORES = ("etcd", "etcd3", "consul", "kubernetes", "zookeeper", "exhibitor", "raft")
LOOPBACK = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
IDLE = ("stopped", "initdb failed", "custom bootstrap failed", "start failed")


class Fault(Exception):
    pass


def texts(name):
    """Pairs of what a text is called and the text, in the order in which later ones win."""
    if name == "environment":
        return [("PATRONI_CONFIGURATION", os.environ["PATRONI_CONFIGURATION"])]
    files = sorted(glob(f"{name}/*.yml") + glob(f"{name}/*.yaml")) if os.path.isdir(name) else [name]
    return [(file, open(file, "rb").read()) for file in files]


def parsed(name, text):
    try:
        found = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise Fault(f"{name}: line {mark.line + 1}, column {mark.column + 1}: this is not YAML: {error.problem}")
    except (yaml.YAMLError, ValueError) as error:
        raise Fault(f"{name} is not YAML: {' '.join(str(error).split())}")
    if not isinstance(found, dict):
        raise Fault(f"{name} is not a configuration of Patroni's: expected keys with values, such as `scope: NAME`")
    return found


def value(configuration, key):
    for part in key.split("."):
        configuration = configuration.get(part) if isinstance(configuration, dict) else None
    return configuration


def faults(name, stores):
    """What Patroni cannot start without."""
    configurations = [parsed(*pair) for pair in texts(name)]
    what = "PATRONI_CONFIGURATION" if name == "environment" else name
    for key in NEEDED:
        variable = "" if name == "environment" else "PATRONI_" + key.upper().replace(".", "_")
        if not os.environ.get(variable) and not any(value(one, key) for one in configurations):
            yield f"{what} has no {key}, which Patroni needs: put it there" + (f" or set {variable}" if variable else "")
    directories = [found for found in (value(one, "postgresql.data_dir") for one in configurations) if found]
    own = os.environ["PGDATA"]
    overridden = name != "environment" and os.environ.get("PATRONI_POSTGRESQL_DATA_DIR")
    if directories and not overridden and os.path.realpath(str(directories[-1])) != os.path.realpath(own):
        # What the entrypoint checks, locks and stops is PGDATA.
        yield f"{what} has postgresql.data_dir {directories[-1]}, and PGDATA is {own}: set PGDATA={directories[-1]} as well"
    named = {store: store for store in STORES if any(store in one for one in configurations)}
    for store in stores:
        named.setdefault(store.removeprefix("PATRONI_").removesuffix("_*").lower(), store)
    if not named:
        yield f"{what} names no store to agree in: expected one of {', '.join(STORES[:5])}"
    if len(named) > 1:
        yield f"{what} and the environment name {len(named)} stores, but a cluster agrees in one: {', '.join(named.values())}"


def check(name, stores):
    try:
        found = list(faults(name, stores))
    except Fault as fault:
        found = [str(fault)]
    except OSError as error:
        found = [f"{error.filename} cannot be read: {error.strerror}"]
    print("\n".join(found))
    return 1 if found else 0


def rest_target(name):
    restapi = {}
    for _, text in texts(name):
        restapi.update(yaml.safe_load(text).get("restapi") or {})
    variables = {} if name == "environment" else os.environ
    listen = variables.get("PATRONI_RESTAPI_LISTEN") or restapi.get("listen") or "0.0.0.0:8008"
    certificate = variables.get("PATRONI_RESTAPI_CERTFILE") or restapi.get("certfile")
    host, _, port = listen.rpartition(":")
    host = host.split(",")[0].strip().strip("[]")
    print("https" if certificate else "http", LOOPBACK.get(host, host), port)
    for key in ("certfile", "keyfile", "cafile"):
        if restapi.get(key) and not variables.get("PATRONI_RESTAPI_" + key.upper()):
            print(restapi[key])
    return 0


def say(text):
    print(f"entrypoint: {text}", file=sys.stderr)


def settled(dcs, name):
    """Whether the store holds nothing of a bootstrap that has ended: the empty key `initialize`, for which all members would wait forever."""
    cluster = dcs.get_cluster()
    if cluster.initialize != "" or not cluster.is_unlocked():
        return True
    busy = [member.name for member in cluster.members if member.name != name and member.data.get("state") not in IDLE]
    if busy:
        say(f"the store says that a cluster is being made: waiting for {', '.join(busy)} to succeed or give up")
        return False
    dcs.cancel_initialization()
    say("removed the note that a cluster is being made from the store; the start that did not complete had left it there")
    return True


def release(name):
    """Waits for the store, as Patroni does, and for another member that may be the one that is making the cluster."""
    import logging
    import time

    from patroni.config import Config
    from patroni.dcs import get_dcs
    from patroni.exceptions import DCSError

    logging.basicConfig(level=logging.WARNING)
    config = Config(name or None)
    # As patronictl connects: without a session of its own.
    dcs = get_dcs({**config.copy(), "patronictl": True})
    while True:
        try:
            if settled(dcs, config["name"]):
                return 0
        except DCSError as error:
            say(f"the store does not answer, trying again: {error}")
        time.sleep(5)


def passwords(name):
    roles = {}
    for role in ("superuser", "replication", "rewind"):
        password = os.environ.get(f"PATRONI_{role.upper()}_PASSWORD")
        if password:
            roles[role] = {"password": password}
    new = f"{name}.new"
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        yaml.safe_dump({"postgresql": {"authentication": roles}}, file, default_style='"')
    os.replace(new, name)
    return 0


def sources(hosts):
    import socket

    found = set()
    for host in hosts:
        for family, kind, protocol, _, address in socket.getaddrinfo(host, 5432, type=socket.SOCK_DGRAM):
            with socket.socket(family, kind, protocol) as one:
                try:
                    # Of a datagram socket this chooses the route and sends nothing.
                    one.connect(address)
                except OSError:
                    continue
                found.add(one.getsockname()[0])
    print(*sorted(address for address in found if not address.startswith("127.") and address != "::1"))
    return 0


def print_value(name, key):
    for _, text in texts(name):
        print(value(yaml.safe_load(text), key) or "", end="")
    return 0


def main():
    command, name, *others = sys.argv[1:]
    commands = {
        "check": lambda: check(name, others),
        "rest-target": lambda: rest_target(name),
        "release": lambda: release(name),
        "passwords": lambda: passwords(name),
        "sources": lambda: sources([name, *others]),
        "value": lambda: print_value(name, *others),
    }
    return commands[command]()


sys.exit(main())
