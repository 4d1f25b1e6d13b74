"""Whether one service answers: for the supervisor, and as compose's health check.

    python -m labapp.stack.health URL

The URL is http://HOST:PORT/PATH, or unix:/SOCKET:/PATH.  Exit status 0 or 1.  Standard library
only, since it runs every few seconds in every container.  Depends on nothing.
"""

from __future__ import annotations

import socket
import sys
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

SECONDS = 4.0
"""Patience of the health check."""


class _OverSocket(HTTPConnection):
    """HTTP on a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def answers(url: str, timeout: float = SECONDS) -> bool:
    """True if a GET is answered with 200 within `timeout` seconds."""
    connection, path = _connection(url, timeout)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _connection(url: str, timeout: float) -> tuple[HTTPConnection, str]:
    where = urlsplit(url)
    if where.scheme == "unix":
        file, _, path = where.path.partition(":")
        return _OverSocket(file, timeout), path
    return HTTPConnection(where.hostname or "", where.port, timeout=timeout), where.path


if __name__ == "__main__":
    sys.exit(not answers(sys.argv[1]))
