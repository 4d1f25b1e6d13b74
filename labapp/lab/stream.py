"""Listens to server-sent events as a browser does, in a thread: the statuses that were pushed.

The format is the one of the HTML standard (section 9.2): fields line by line, an empty line ends an
event, a line that begins with a colon is a comment.  Used by ``labapp.lab.front``.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterable, Iterator

import httpx

from labapp.lab.broker import POLL
from labapp.stack.control import NO_TLS

CONNECT_SECONDS = 10.0
END_SECONDS = 10.0


class Stream:
    """One open stream of events.

    Args:
        url: where it is.

    Attributes:
        words: the status word of each event that came, in order.
        comments: how many comments came; they only show that the connection lives.
        ended: whether the server has ended the stream.
    """

    def __init__(self, url: str) -> None:
        self.words: list[str] = []
        self.comments = 0
        self.ended = False
        self._thread = threading.Thread(
            target=self._listen, args=(url,), name="lab-stream", daemon=True
        )
        self._thread.start()

    def _listen(self, url: str) -> None:
        with (
            contextlib.suppress(httpx.HTTPError, httpx.StreamError),
            httpx.Client(
                timeout=httpx.Timeout(CONNECT_SECONDS, read=None), verify=NO_TLS
            ) as client,
            client.stream("GET", url) as response,
        ):
            for data in events(self._counted(response.iter_lines())):
                self.words.append(word_of(data))
        self.ended = True

    def _counted(self, lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            self.comments += line.startswith(":")
            yield line

    def until(self, word: str, seconds: float = 10.0) -> list[str]:
        """Wait until this word has come, or ``seconds``, or the stream's end; all words so far."""
        deadline = time.monotonic() + seconds
        while word not in self.words and not self.ended and time.monotonic() < deadline:
            time.sleep(POLL)
        return list(self.words)

    def close(self) -> None:
        """Wait for the end, which comes with the server's: the API is closed before."""
        self._thread.join(END_SECONDS)


def events(lines: Iterable[str]) -> Iterator[str]:
    """The data of each event in the lines of a stream; several data lines are joined."""
    data: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []


def word_of(data: str) -> str:
    """The status in an event's JSON; the text itself where it is none."""
    try:
        return str(json.loads(data)["status"])
    except (ValueError, KeyError, TypeError):
        return data
