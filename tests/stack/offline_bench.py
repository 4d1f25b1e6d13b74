"""A machine without a network: commands in a network namespace of their own, loopback alone up."""

from __future__ import annotations

import subprocess
import sys

import pytest

WAYS = (("unshare", "--net"), ("unshare", "--map-root-user", "--net"))
"""As root, and as anybody where user namespaces are allowed."""
INSIDE = """
import errno, fcntl, os, socket, struct, sys
UP, SET_FLAGS = 1, 0x8914  # <linux/if.h>, <linux/sockios.h>
with socket.socket() as loopback:
    fcntl.ioctl(loopback, SET_FLAGS, struct.pack("16sh14x", b"lo", UP))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside:
    assert outside.connect_ex(("192.0.2.1", 53)) == errno.ENETUNREACH, "there is a network"
os.execvp(sys.argv[1], sys.argv[1:])
"""


def without_network() -> tuple[str, ...]:
    """What to put before a command.  Skips the test, with the reason, where it cannot be done."""
    for way in WAYS:
        try:
            told = subprocess.run([*way, "true"], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("no `unshare` here: that it works without a network was NOT tested")
        if told.returncode == 0:
            return (*way, sys.executable, "-c", INSIDE)
    pytest.skip(f"no network namespace to be had ({told.stderr.strip()}): offline was NOT tested")
