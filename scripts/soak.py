"""Rounds of orders under random faults, on a lab of its own: `make soak`.

    python scripts/soak.py [--seed 1] [--only ROUND] [--answers FOLDER]

A seed decides all of it. Without more, the rounds go on until there were 500 deliveries and 50
crashes, on stage 04's solution. Exit status: 0 when every order of every round was charged once and
booked once, 1 when one was not (the names of those rounds, to run them alone, are in the last
lines), 2 when it could not run.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from labapp.course.stage_04 import work
from labapp.errors import LabError
from labapp.lab.publisher import Module
from labapp.lab.run import Plan
from labapp.lab.soak import CRASHES, DELIVERIES, soak
from labapp.stack.testing import headless_stack
from labapp.world.kinds import Kind

if TYPE_CHECKING:
    from labapp.lab.soak import Soak

ROOT = Path(__file__).resolve().parent.parent
SOLUTION = ROOT / "solutions" / "04_idempotency"
DEADLINE = 60.0
"""Seconds that a round's queue may take to drain."""


def main(arguments: list[str] | None = None) -> int:
    """Do what the module says; the exit status."""
    options = parser().parse_args(arguments)
    began = time.monotonic()
    try:
        found = run(options)
    except LabError as error:
        print("\n".join(error.lines), file=sys.stderr)
        return 2
    if found.bad:
        print(f"\n{found.table!r}\n")
        for name in found.bad:
            print(f"again: {sys.executable} {shlex.join(replay(options, name))}")
    print(f"soak: seed {options.seed}: {found.tally} · {time.monotonic() - began:.0f} s")
    return 1 if found.bad else 0


def parser() -> argparse.ArgumentParser:
    """What the script may be asked."""
    made = argparse.ArgumentParser(description="Orders under random faults, until enough broke.")
    made.add_argument("--seed", type=int, default=1, help="decides all faults (default 1)")
    made.add_argument("--only", default="", metavar="ROUND", help="name or number of one round")
    made.add_argument("--answers", type=Path, default=SOLUTION, help="folder with shop.py")
    made.add_argument("--deliveries", type=int, default=DELIVERIES, help="at least so many")
    made.add_argument("--crashes", type=int, default=CRASHES, help="at least so many")
    return made


def run(options: argparse.Namespace) -> Soak:
    """The soak, on a lab that is started for it.

    Raises:
        LabError: there is no such round or module, or an experiment could not begin.
    """
    module = Module("shop", options.answers.resolve())
    module.require_file()
    expect = (Kind.CHARGE, Kind.BOOKING)
    plan = Plan(module, "shop.charge", work(), expect=expect, deadline=DEADLINE)
    with (
        tempfile.TemporaryDirectory(prefix="lab-soak-") as folder,
        headless_stack(Path(folder) / ".lab") as stack,
    ):
        return soak(
            stack,
            plan,
            seed=options.seed,
            only=options.only,
            deliveries=options.deliveries,
            crashes=options.crashes,
            progress=lambda line: print(line, flush=True),
        )


def replay(options: argparse.Namespace, name: str) -> list[str]:
    """The arguments that run one round again."""
    again = [__file__, "--seed", str(options.seed), "--only", name]
    for option in ("answers", "deliveries", "crashes"):
        value = getattr(options, option)
        if value != parser().get_default(option):
            again += [f"--{option}", str(value)]
    return again


if __name__ == "__main__":
    sys.exit(main())
