"""Prints where Patroni's REST interface can be asked from inside the container: "scheme host port".

Reads the configuration file (or PATRONI_CONFIGURATION) and the variables that override it, as Patroni does. Only reads.
"""

import os
import sys

import yaml

LOOPBACK = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def configuration(name):
    if name == "environment":
        return yaml.safe_load(os.environ["PATRONI_CONFIGURATION"])
    with open(name, encoding="utf-8") as file:
        return yaml.safe_load(file)


def main():
    restapi = (configuration(sys.argv[1]) or {}).get("restapi") or {}
    listen = os.environ.get("PATRONI_RESTAPI_LISTEN") or restapi.get("listen") or "0.0.0.0:8008"
    certificate = os.environ.get("PATRONI_RESTAPI_CERTFILE") or restapi.get("certfile")
    host, _, port = listen.rpartition(":")
    host = host.split(",")[0].strip().strip("[]")
    print("https" if certificate else "http", LOOPBACK.get(host, host), port)


main()
