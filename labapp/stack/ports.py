"""Loopback ports: find free ones, and keep them ours while the lab runs."""

from __future__ import annotations

import socket
import sys

from labapp.errors import LabError

LOOPBACK = "127.0.0.1"


class Port:
    """A loopback port that stays reserved until `release`, also while its service restarts.

    On Linux a socket that is bound with SO_REUSEADDR but does not listen keeps the kernel from
    giving the port to others, while a service that sets SO_REUSEADDR (all of ours do) can still
    bind and listen. Elsewhere such a socket would be in the way, so it is closed at once.
    """

    def __init__(self, wanted: int = 0) -> None:
        """Reserve `wanted`, or any free port if 0.

        Raises:
            LabError: the wanted port is taken.
        """
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if wanted:
                _check_free(wanted)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((LOOPBACK, wanted))
        except OSError as error:
            self._socket.close()
            raise LabError(
                f"port {wanted} is taken" if wanted else f"no free port: {error}",
                hint="choose another one with --port, or leave it out to get a free one",
            ) from None
        self.number: int = self._socket.getsockname()[1]
        if sys.platform != "linux":
            self._socket.close()

    @property
    def url(self) -> str:
        """The http address of this port."""
        return f"http://{LOOPBACK}:{self.number}"

    def release(self) -> None:
        """Give the port back."""
        self._socket.close()


def _check_free(port: int) -> None:
    """Raise OSError if anyone listens on or is bound to the port on loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Without SO_REUSEADDR connections in TIME_WAIT would count as taken: after a restart
        # of the lab on the same port. With it only a listener counts, which is what we ask.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((LOOPBACK, port))
        probe.listen(1)


def is_listening(port: int) -> bool:
    """True if something accepts connections on this loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((LOOPBACK, port)) == 0
