"""Prints where Patroni's REST interface can be asked from inside the container: "scheme host port".

Reads as Patroni does: the configuration file, or the directory of them, and the variables that override it; or PATRONI_CONFIGURATION, which
they do not override. Only reads.
"""

import os
import sys
from glob import glob

import yaml

LOOPBACK = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def texts(name):
    if name == "environment":
        return [os.environ["PATRONI_CONFIGURATION"]]
    files = sorted(glob(f"{name}/*.yml") + glob(f"{name}/*.yaml")) if os.path.isdir(name) else [name]
    return [open(file, "rb").read() for file in files]


def main():
    restapi = {}
    for text in texts(sys.argv[1]):
        restapi.update(yaml.safe_load(text).get("restapi") or {})
    variables = {} if sys.argv[1] == "environment" else os.environ
    listen = variables.get("PATRONI_RESTAPI_LISTEN") or restapi.get("listen") or "0.0.0.0:8008"
    certificate = variables.get("PATRONI_RESTAPI_CERTFILE") or restapi.get("certfile")
    host, _, port = listen.rpartition(":")
    host = host.split(",")[0].strip().strip("[]")
    print("https" if certificate else "http", LOOPBACK.get(host, host), port)


main()
