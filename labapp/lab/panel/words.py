"""A moment of the panel in words: the same words for the same state, without times.

Pure.  Used for the picture's description, and by those who look without a browser.
"""

from __future__ import annotations

from labapp.lab.panel.moment import Moment
from labapp.views.keys import one_line


def lines(moment: Moment) -> list[str]:
    """All that the panel's numbers, rows and colours say, line by line."""
    found = [str(queue) for queue in moment.queues]
    found.append(f"unacked: {moment.held_back}")
    found += [f"{worker.name} {worker.state}: {worker.doing}" for worker in moment.workers]
    if not moment.workers:
        found.append("workers: none")
    found.append(f"sent {moment.sent}, happened {moment.happened}, more than once {moment.twice}")
    found.append(f"the partner {moment.partner}")
    found += [f"elsewhere: {one}" for one in moment.elsewhere]
    found += [f"trouble: {moment.trouble}"] if moment.trouble else []
    found += [f"ended: {moment.over}"] if moment.over else []
    return [one_line(line) for line in found]


def words(moment: Moment) -> str:
    """The same as one text."""
    return "\n".join(lines(moment))
