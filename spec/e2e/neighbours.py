"""neighbours.py URL PATH: asks for PATH, and meanwhile another worker for /worker (text: who it is) again and again.

Prints the status of PATH's answer, "gone" when there is none, and after how many whole seconds. Fails when the other worker was disturbed."""

import http.client
import sys
import threading
import time
import urllib.parse

PATIENCE = 60
MOST = 64


def get(connection, path):
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def two_workers(host):
    seen = {}
    for _ in range(MOST):
        connection = http.client.HTTPConnection(host, timeout=PATIENCE)
        seen.setdefault(get(connection, "/worker")[1], connection)
        if len(seen) == 2:
            return list(seen.items())
    sys.exit("one worker answers all")


def main():
    url, path = sys.argv[1:]
    (_, victim), (name, other) = two_workers(urllib.parse.urlsplit(url).netloc)
    result = []

    def ask():
        try:
            result.append(get(victim, path)[0])
        except (ConnectionError, http.client.HTTPException):
            result.append("gone")

    thread = threading.Thread(target=ask)
    began = time.monotonic()
    thread.start()
    while thread.is_alive():
        if get(other, "/worker") != (200, name):
            sys.exit("the other worker is another one")
        thread.join(0.05)
    print(result[0], int(time.monotonic() - began))


main()
