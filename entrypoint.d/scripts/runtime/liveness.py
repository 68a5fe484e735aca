"""Asks Patroni's REST interface whether Patroni's loop is alive: exit status 0 if it says so, 1 if not.

One process, with a deadline that needs no second one: the alarm ends it whatever it hangs in. TLS is why this is not bash. The
certificate is not verified, since it names the node and the question goes to the loopback; a client certificate is shown where Patroni
is told to demand one.
"""

import http.client
import os
import signal
import sys

DEADLINE_SECONDS = 6


def connection(scheme, host, port):
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=DEADLINE_SECONDS)
    import ssl

    context = ssl._create_unverified_context()
    certificate = os.environ.get("PATRONI_CTL_CERTFILE") or os.environ.get("PATRONI_RESTAPI_CERTFILE")
    if certificate:
        key = os.environ.get("PATRONI_CTL_KEYFILE") or os.environ.get("PATRONI_RESTAPI_KEYFILE")
        context.load_cert_chain(certificate, key)
    return http.client.HTTPSConnection(host, port, timeout=DEADLINE_SECONDS, context=context)


def main():
    scheme, host, port = sys.argv[1:4]
    signal.alarm(DEADLINE_SECONDS)
    try:
        asked = connection(scheme, host, int(port))
        asked.request("GET", "/liveness")
        status = asked.getresponse().status
    except OSError as error:
        print(f"Patroni does not answer at {scheme}://{host}:{port}: {error}")
        return 1
    print(f"Patroni answers {status} at {scheme}://{host}:{port}/liveness")
    return 0 if status == 200 else 1


sys.exit(main())
