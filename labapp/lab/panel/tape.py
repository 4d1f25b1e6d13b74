"""The last seconds as bars and marks: takes what happens, in order, and forgets what is old.

Pure.  Used by ``labapp.lab.panel.watch`` from one thread.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from labapp.lab.panel.moment import WINDOW, Bar, Mark

MOST = 400
"""Marks, and ended bars, that are kept at most; of more the oldest are forgotten early."""


class Tape:
    """A rolling timeline.

    Args:
        window: seconds that it remembers.
    """

    def __init__(self, window: float = WINDOW) -> None:
        self.window = window
        self._open: dict[tuple[str, str], list[Bar]] = {}
        """By worker and task id: tasks that run.  Two copies may run on one worker."""
        self._gone: set[str] = set()
        """Workers that have ended; what is heard of them too late is no news."""
        self._ended: deque[Bar] = deque(maxlen=MOST)
        self._marks: deque[Mark] = deque(maxlen=MOST)

    def mark(self, row: str, kind: str, at: float, key: str = "") -> None:
        """Something happened at one moment."""
        self._marks.append(Mark(row, kind, at, key))

    def begin(self, worker: str, task_id: str, key: str, at: float) -> None:
        """A worker has begun a task."""
        if worker in self._gone:
            return
        self._open.setdefault((worker, task_id), []).append(Bar(worker, key, at))

    def end(self, worker: str, task_id: str, at: float, how: str) -> None:
        """A worker has ended a task: of two copies the one begun first.

        What was begun before we listened has no bar, and needs none."""
        running = self._open.get((worker, task_id), [])
        if running:
            self._close(running.pop(0), at, how)
        if not running:
            self._open.pop((worker, task_id), None)

    def cut(self, worker: str, at: float, key: str = "") -> None:
        """A worker, or its process that runs this key, is gone: its tasks end with it.

        No worker has the name of one that is gone."""
        if not key:
            self._gone.add(worker)
        for place, bars in list(self._open.items()):
            gone = [bar for bar in bars if bar.row == worker and key in ("", bar.key)]
            for bar in gone:
                bars.remove(bar)
                self._close(bar, at, "cut")
            if not bars:
                del self._open[place]

    def _close(self, bar: Bar, at: float, how: str) -> None:
        self._ended.append(replace(bar, end=max(at, bar.begin), how=how))

    def trim(self, now: float) -> None:
        """Forget what ended or happened before the window that ends now."""
        since = now - self.window
        ended = [bar for bar in self._ended if bar.end is not None and bar.end >= since]
        self._ended = deque(ended, maxlen=MOST)
        self._marks = deque((mark for mark in self._marks if mark.at >= since), maxlen=MOST)

    def running(self, worker: str) -> list[str]:
        """Business keys of the tasks that this worker runs, in the order of their begin."""
        return [bar.key for bar in self._begun() if bar.row == worker]

    def _begun(self) -> list[Bar]:
        found = [bar for bars in self._open.values() for bar in bars]
        return sorted(found, key=lambda bar: bar.begin)

    def bars(self) -> tuple[Bar, ...]:
        """Ended ones, then those that run."""
        return (*self._ended, *self._begun())

    def marks(self) -> tuple[Mark, ...]:
        """All of them, in the order in which they came."""
        return tuple(self._marks)
