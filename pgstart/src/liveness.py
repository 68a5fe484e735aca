"""Asks Patroni's REST interface whether Patroni's loop is alive: exit status 0 if it says so, 1 if not.

One process, with a deadline that needs no second one: the alarm ends it whatever it hangs in. TLS and that deadline are why this is not
bash. The certificate is not verified, since it names the node and the question goes to the loopback; a client certificate is shown where
Patroni is told to demand one. It is asked every half minute, so it imports as little as it can: http.client brings forty modules.
"""

import os
import signal
import socket
import sys

DEADLINE_SECONDS = 6


def secured(plain, host):
    import ssl

    context = ssl._create_unverified_context()
    certificate = os.environ.get("PATRONI_CTL_CERTFILE") or os.environ.get("PATRONI_RESTAPI_CERTFILE")
    if certificate:
        key = os.environ.get("PATRONI_CTL_KEYFILE") or os.environ.get("PATRONI_RESTAPI_KEYFILE")
        context.load_cert_chain(certificate, key)
    return context.wrap_socket(plain, server_hostname=host)


def status(scheme, host, port):
    """The status of the answer, which is the second word of its first line; 0 if the answer is not HTTP."""
    with socket.create_connection((host, port), DEADLINE_SECONDS) as plain:
        asked = secured(plain, host) if scheme == "https" else plain
        asked.sendall(b"GET /liveness HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = b""
        while part := asked.recv(4096):
            answer += part
    words = answer.split(None, 2)
    return int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/") and words[1].isdigit() else 0


def main():
    scheme, host, port = sys.argv[1:4]
    signal.alarm(DEADLINE_SECONDS)
    try:
        answered = status(scheme, host, int(port))
    except OSError as error:
        print(f"Patroni does not answer at {scheme}://{host}:{port}: {error}")
        return 1
    print(f"Patroni answers {answered} at {scheme}://{host}:{port}/liveness")
    return 0 if answered == 200 else 1


sys.exit(main())
