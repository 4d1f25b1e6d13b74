"""How long the checker takes, and that it takes it linearly.

    python benchmarks/checker.py

Judges a history of 10^5 and one of 10^6 events; the goals are a ratio of about 10 and less than
10 s for the larger one. (Somewhat above 10 is the memory, which no longer fits the processor's
caches; with a quadratic step it would be 100.) Needs no stack.
"""

from __future__ import annotations

import gc
import time
from statistics import median

from labapp.checker.history import Effect, Event, FaultFired, History, Restored, Result, Sent
from labapp.checker.verdict import judge

SIZES = (100_000, 1_000_000)
RUNS = 3
EVENTS_PER_KEY = 4


def history(size: int) -> History:
    """`size` events: every key sent, touched, effected and read; every tenth happens twice."""
    keys = [f"order-{number}" for number in range(size // EVENTS_PER_KEY)]
    held = tuple(keys[::100])
    events: list[Event] = [Sent(n / 1e3, key, f"id-{n}") for n, key in enumerate(keys)]
    events.append(FaultFired(1e3, "kill worker", held))
    events += [Restored(2e3 + n / 1e3, (key,)) for n, key in enumerate(keys) if n % 10]
    events += [Effect(3e3 + n / 1e3, key) for n, key in enumerate(keys)]
    events += [Effect(4e3 + n / 1e3, key) for n, key in enumerate(keys) if not n % 10]
    events += [Result(5e3, key, "SUCCESS") for key in keys]
    return History(events[:size])


def seconds(size: int) -> float:
    """Median wall time of judging a history of `size` events, in seconds."""
    events = history(size)
    times = []
    for _ in range(RUNS):
        gc.collect()
        begun = time.perf_counter()
        judge(events)
        times.append(time.perf_counter() - begun)
    return median(times)


def main() -> None:
    """Print one row per size, then the ratio of the largest to the smallest."""
    times = {size: seconds(size) for size in SIZES}
    print("events      seconds   events/s")
    for size, taken in times.items():
        print(f"{size:<10,}  {taken:7.2f}  {size / taken:9,.0f}")
    small, large = times[SIZES[0]], times[SIZES[-1]]
    print(f"{SIZES[-1] // SIZES[0]} times the events take {large / small:.1f} times as long")


if __name__ == "__main__":
    main()
