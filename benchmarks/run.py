"""All benchmarks, one table: `make bench`. Also written to build/bench.md.

    python benchmarks/run.py [NAME ...]

A benchmark is a module in this folder with `rows() -> Iterable[Row]`. Exit status 1 when one could
not be measured; a missed goal is shown, not an error, since a busy machine misses it too.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE)]

from rows import Row, table  # noqa: E402

from labapp.errors import LabError  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

NOT_BENCHMARKS = ("run", "rows")
REPORT = ROOT / "build" / "bench.md"


def main(arguments: list[str] | None = None) -> int:
    """Measure, print and write; the exit status."""
    parser = argparse.ArgumentParser(description="Measure, and print one table.")
    parser.add_argument("names", nargs="*", help="only these modules of benchmarks/")
    modules = _benchmarks(parser.parse_args(arguments).names)
    measured = [_rows(module) for module in modules]
    text = f"{_machine()}\n\n{table([row for rows in measured for row in rows or []])}\n"
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(text)
    print(f"\n{text}")
    return 1 if None in measured else 0


def _benchmarks(names: list[str]) -> list[ModuleType]:
    known = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in NOT_BENCHMARKS)
    if unknown := sorted(set(names) - set(known)):
        sys.exit(f"bench: no benchmark {unknown[0]!r}; there are: {', '.join(known)}")
    modules = [importlib.import_module(name) for name in names or known]
    return [module for module in modules if hasattr(module, "rows")]


def _rows(module: ModuleType) -> list[Row] | None:
    """What a benchmark measured; None, with the reason on the screen, if it could not."""
    print(f"bench: {module.__name__} …", end="", flush=True)
    began = time.monotonic()
    try:
        measured: Iterable[Row] = list(module.rows())
    except (LabError, AssertionError) as error:
        print(f" could not be measured: {error}")
        return None
    except Exception:  # one broken benchmark must not hide the figures of the others
        print(" broke:")
        traceback.print_exc()
        return None
    print(f" {time.monotonic() - began:.0f} s")
    return list(measured)


def _machine() -> str:
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}, "
        f"{platform.system()}"
    )


if __name__ == "__main__":
    sys.exit(main())
