"""Says what a patroni.yml of the user's lacks, one fault a line: exit status 0 if nothing, 1 if something.

Arguments: the file, or a directory of files, or "environment" for the text in PATRONI_CONFIGURATION; then the stores that variables name.
Reads it as Patroni does: variables override a file, but not PATRONI_CONFIGURATION. What is asked for is what Patroni cannot start without.
"""

import os
import sys
from glob import glob

import yaml

NEEDED = ("scope", "name", "restapi.listen", "postgresql.listen", "postgresql.data_dir")
STORES = ("etcd", "etcd3", "consul", "kubernetes", "zookeeper", "exhibitor", "raft")


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
        raise Fault(f"{name}: line {mark.line + 1}, column {mark.column + 1}: this is no YAML: {error.problem}")
    except (yaml.YAMLError, ValueError) as error:
        raise Fault(f"{name} is no YAML: {' '.join(str(error).split())}")
    if not isinstance(found, dict):
        raise Fault(f"{name} is no configuration of Patroni's: expected keys with values, such as `scope: NAME`")
    return found


def value(configuration, key):
    for part in key.split("."):
        configuration = configuration.get(part) if isinstance(configuration, dict) else None
    return configuration


def faults(name, stores):
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


def main():
    try:
        found = list(faults(sys.argv[1], sys.argv[2:]))
    except Fault as fault:
        found = [str(fault)]
    except OSError as error:
        found = [f"{error.filename} cannot be read: {error.strerror}"]
    print("\n".join(found))
    return 1 if found else 0


sys.exit(main())
