"""Is the whole cluster well? Exit status 0 if so, else 1 with the first thing that is not.

    health.py coordinator1,coordinator2,coordinator3 worker1a,worker1b ...

The arguments are the members of each group, the coordinator's first. Runs inside the cluster's network, in any member. Well is: in each
group exactly one leader, the others streaming from it on its timeline, one of them synchronous; no second server that takes writes; and in
the coordinator's metadata, reached through HAProxy as a client would, the same leaders and replicas.
"""

import json
import sys
import urllib.error
import urllib.request

import psycopg

SECRET = "/run/secrets/superuser"


class Unwell(Exception):
    """What is wrong, for people."""


def member_state(name):
    try:
        with urllib.request.urlopen(f"http://{name}:8008/patroni", timeout=3) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)
    except OSError as error:
        raise Unwell(f"{name} does not answer: {error}") from error


def group_leader(members):
    """The group's only leader, if all the others follow it."""
    states = {name: member_state(name) for name in members}
    leaders = [name for name, state in states.items() if state.get("role") == "primary" and state.get("state") == "running"]
    if len(leaders) != 1:
        raise Unwell(f"of {', '.join(members)} the leaders are: {', '.join(leaders) or 'none'}")
    leader = leaders[0]
    for name, state in states.items():
        if name == leader:
            continue
        if state.get("replication_state") != "streaming":
            raise Unwell(f"{name} does not stream yet: {state.get('state')}")
        if state.get("timeline") != states[leader].get("timeline"):
            raise Unwell(f"{name} is on timeline {state.get('timeline')}, its leader on {states[leader].get('timeline')}")
    if len(members) > 1 and not any(state.get("sync_standby") or state.get("quorum_standby") for state in states.values()):
        raise Unwell(f"no standby of {leader} is synchronous yet")
    return leader


def check_writable(members, leader, password):
    """Asks the servers themselves: Patroni's answer may be older than the truth."""
    for name in members:
        with psycopg.connect(host=name, user="postgres", password=password, dbname="postgres", connect_timeout=5) as connection:
            in_recovery = connection.execute("SELECT pg_is_in_recovery()").fetchone()[0]
        if in_recovery == (name == leader):
            raise Unwell(f"{name} is {'in recovery' if in_recovery else 'writable'}, and the leader is {leader}")


def check_metadata(groups, leaders, password):
    query = "SELECT groupid, nodename, noderole::text, isactive AND (metadatasynced OR noderole = 'secondary') FROM pg_dist_node"
    with psycopg.connect(host="haproxy", port=5000, user="postgres", password=password, dbname="citus", connect_timeout=5) as connection:
        rows = set(connection.execute(query).fetchall())
    for number, members in enumerate(groups):
        for name in members:
            role = "primary" if name == leaders[number] else "secondary"
            if (number, name, role, True) not in rows:
                raise Unwell(f"the coordinator does not know {name} as {role} of group {number} yet")
    if len(rows) != sum(map(len, groups)):
        raise Unwell(f"the coordinator knows {len(rows)} nodes")


def main():
    groups = [argument.split(",") for argument in sys.argv[1:]]
    with open(SECRET, encoding="ascii") as file:
        password = file.read().strip()
    try:
        leaders = [group_leader(members) for members in groups]
        for members, leader in zip(groups, leaders):
            check_writable(members, leader, password)
        check_metadata(groups, leaders, password)
    except (Unwell, psycopg.Error) as error:
        print(str(error).strip().splitlines()[0])
        return 1
    print("leaders: " + " ".join(leaders))
    return 0


sys.exit(main())
