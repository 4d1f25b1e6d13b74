"""How long it takes to see who holds a connection, beside psutil: ``python benchmarks/sockets.py``.

A thousand connections are closed first, as a test suite leaves them: each is in the kernel's table
for a minute.  Both looks are made at the same five processes in turns; the median of 21.
"""

from __future__ import annotations

import os
import socket
import statistics
import time
from collections.abc import Callable

from labapp.node.sockets import _by_psutil, ends

CLOSED = 1000
PIDS = [os.getpid()] * 5
ROUNDS = 21


def took(look: Callable[[], object]) -> float:
    """Milliseconds of this process's time."""
    began = time.process_time()
    look()
    return (time.process_time() - began) * 1000


def main() -> None:
    """Print both medians and their ratio."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for _ in range(CLOSED):
            socket.create_connection(("127.0.0.1", port)).close()
            server.accept()[0].close()
        with socket.create_connection(("127.0.0.1", port)):
            pairs = [
                (took(lambda: ends(PIDS, port)), took(lambda: list(_by_psutil(PIDS, port))))
                for _ in range(ROUNDS)
            ]
    own, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{own:.1f} ms, psutil {theirs:.1f} ms: {theirs / own:.0f} times as long")


if __name__ == "__main__":
    main()
