"""Who holds which connection, as the kernel tells, against psutil and real sockets."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labapp.node.sockets import End, _by_psutil, address, ends

if TYPE_CHECKING:
    from collections.abc import Iterator

GONE = 2**22 - 1
"""No process has it: pids end before."""


@pytest.fixture(params=[("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)], ids=["v4", "v6"])
def server(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """Listens on loopback."""
    host, family = request.param
    with socket.socket(family) as listening:
        try:
            listening.bind((host, 0))
        except OSError as error:
            pytest.skip(f"no {host} here: {error}")
        listening.listen()
        yield listening


def test_ends_are_those_of_the_processes_asked_for(server: socket.socket) -> None:
    """One of this process, one of a child; not the server's own ends, not what was closed."""
    host, port = server.getsockname()[:2]
    family = "AF_INET6" if ":" in host else "AF_INET"
    connect = f"s = socket.socket(socket.{family}); s.connect({(host, port)!r})"
    with ExitStack() as held:
        mine = held.enter_context(socket.create_connection((host, port)))
        socket.create_connection((host, port)).close()
        child = held.enter_context(
            subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    f"import socket; {connect}; print(s.getsockname()[1]); input()",
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        assert child.stdout is not None
        theirs = int(child.stdout.readline())
        pids = [os.getpid(), child.pid, GONE]

        found = ends(pids, port)

        assert found == [
            End(os.getpid(), host, mine.getsockname()[1]),
            End(child.pid, host, theirs),
        ]
        assert found == list(_by_psutil(pids, port))
        assert ends([os.getpid()], mine.getsockname()[1]) == []
        assert child.stdin is not None
        child.stdin.close()


@given(st.ip_addresses())
def test_an_address_is_read_as_the_kernel_writes_it(
    one: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    packed = one.packed
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    assert ipaddress.ip_address(address("".join(f"{word:08X}" for word in words))) == one
