"""Which of some processes holds which TCP connection to a port.

On Linux the kernel's table is read once for all of them.  psutil, which does it elsewhere, reads it
for each process anew, and makes objects of it: four times the work for five processes, where a test
suite has left a thousand connections in TIME_WAIT (``benchmarks/sockets.py``).  Used by
``labapp.node.workers``.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
ROW = r"^ *\d+: ([0-9A-F]+):([0-9A-F]{{4}}) [0-9A-F]+:{port:04X} (?:\S+ +){{6}}([1-9]\d*) "
"""Own address and port, the other port, and six columns later the inode (proc_pid_net(5)); whoever
has no process any more has the inode 0."""
INODE = re.compile(r"socket:\[(\d+)\]")


class End(NamedTuple):
    """A process's own end of a TCP connection."""

    pid: int
    host: str
    port: int


def ends(pids: Iterable[int], remote_port: int) -> list[End]:
    """What these processes hold of connections to ``remote_port``; one that is gone holds none."""
    look = _in_proc if sys.platform == "linux" else _by_psutil
    return list(look(pids, remote_port))


def _in_proc(pids: Iterable[int], remote_port: int) -> Iterator[End]:
    row = re.compile(ROW.format(port=remote_port), re.MULTILINE)
    found: dict[str, tuple[str, int]] = {}
    held = [(pid, inode) for pid in pids for inode in _sockets(pid)]
    for table in TABLES:
        with suppress(FileNotFoundError):  # a kernel without IPv6
            for host, port, inode in row.findall(table.read_text()):
                found[inode] = (address(host), int(port, 16))
    return (End(pid, *found[inode]) for pid, inode in held if inode in found)


def _sockets(pid: int) -> Iterator[str]:
    """Inodes of the process's sockets."""
    with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with suppress(OSError):  # closed just now
                if inode := INODE.fullmatch(os.readlink(entry.path)):  # noqa: PTH115
                    yield inode[1]


def address(host: str) -> str:
    """An address as the kernel writes it: words of four bytes, each in the machine's own order."""
    words = [int(host[at : at + 8], 16) for at in range(0, len(host), 8)]
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    return socket.inet_ntop(family, struct.pack(f"={len(words)}I", *words))


def _by_psutil(pids: Iterable[int], remote_port: int) -> Iterator[End]:
    for pid in pids:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            for one in psutil.Process(pid).net_connections(kind="tcp"):
                if one.raddr and one.raddr.port == remote_port:
                    yield End(pid, one.laddr.ip, one.laddr.port)
