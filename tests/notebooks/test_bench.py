"""`make bench`: the table, and a call for a benchmark that does not exist."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

from nbruns import ROOT, clean_environment

_SPEC = importlib.util.spec_from_file_location("bench_rows", ROOT / "benchmarks" / "rows.py")
assert _SPEC is not None
assert _SPEC.loader is not None
bench = importlib.util.module_from_spec(_SPEC)
sys.modules["bench_rows"] = bench  # dataclasses look their module up
_SPEC.loader.exec_module(bench)


def test_a_row_says_whether_its_goal_is_met_and_how_it_was_before() -> None:
    rows = [bench.Row("fast", 2.0, 3.0, before=5.0), bench.Row("slow", 4.0, 3.0)]
    heading, _, fast, slow = bench.table(rows).splitlines()
    assert "before/now" in heading
    assert "| 2.00 s   | 3.00 s  | yes | 5.00 s | 2.5x" in fast
    assert "| NO " in slow


def test_columns_about_before_stay_away_where_no_row_has_one() -> None:
    assert "before" not in bench.table([bench.Row("x", 1.0)])


def test_an_unknown_benchmark_is_one_clear_line() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/run.py", "nope"],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "no benchmark 'nope'; there are:" in done.stderr
    assert done.stderr.count("\n") == 1
