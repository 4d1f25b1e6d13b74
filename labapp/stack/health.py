"""Whether one service answers: `python -m labapp.stack.health URL`, compose's health check.

The URL is http://HOST:PORT/PATH, or unix:/SOCKET for Flower.  Exit status 0 or 1.  Standard library
only, since it runs every few seconds in every container.
"""

from __future__ import annotations

import socket
import sys
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

SECONDS = 2.0


class _OverSocket(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(SECONDS)
        self.sock.connect(self._path)


def answers(url: str) -> bool:
    """True if a GET is answered with 200."""
    where = urlsplit(url)
    path = where.path
    connection: HTTPConnection
    if where.scheme == "unix":
        connection, path = _OverSocket(where.path), "/flower/healthcheck"
    else:
        connection = HTTPConnection(where.hostname or "", where.port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(not answers(sys.argv[1]))
