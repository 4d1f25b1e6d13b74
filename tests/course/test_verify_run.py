"""`lab verify --run`: what the check says of answers, and nbval of notebooks, is what is written.

The course's own answers and notebooks are judged in `test_answers.py` and by `pytest notebooks`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from answers import ROOT, WITH_EXERCISE
from nbformat.v4 import new_code_cell, new_notebook, new_output
from verify_bench import copy_course, edited

from labapp.checker.verdict import Verdict
from labapp.course.report import Report
from labapp.course.stage import Outcome
from labapp.course.verify.context import Context
from labapp.course.verify.running import (
    Told,
    answer_problem,
    answers_get_their_diagnosis,
    notebook_problem,
    read_junit,
)
from labapp.stack.state import Stack

CRASH = next(stage for stage in WITH_EXERCISE if stage.number == "02")
GOOD = Outcome(Verdict(sent=10, happened=10, effects=10))
LOST = Outcome(Verdict(sent=10, happened=9, effects=9, lost=("order-4",)))
AT_ONCE = '''"""Fails at once."""

import os

from celery import Celery

app = Celery("shop", broker="redis://localhost:6379/0", backend="redis://localhost:6379/0")


@app.task
def charge(order: str) -> str:
    """Charge nobody."""
    raise KeyError(order)  # TODO
'''
START_HERE = "notebooks/00_start_here.ipynb"


def report(**struck: Outcome) -> Report:
    """A report in which all went well but for these trials (`child_killed=LOST`)."""
    outcomes = {
        trial.name: struck.get(trial.name.replace(" ", "_"), GOOD) for trial in CRASH.trials
    }
    return Report(CRASH, outcomes, CRASH.diagnose(outcomes))


def problem_with(given: Report, diagnosis: str = "", fault: str = "") -> str:
    """What is wrong with an answer of which this is told."""
    told = Told(CRASH, "some", ROOT, "solutions/02_crash/some", diagnosis, fault)
    return str(answer_problem(told, given) or "")


# --- judging, without a lab


def test_an_answer_of_which_the_truth_is_told_is_no_problem() -> None:
    found = report(child_killed=LOST)

    assert problem_with(report()) == ""
    assert found.diagnosis is not None
    assert problem_with(found, found.diagnosis.code, "child killed") == ""
    assert problem_with(found, found.diagnosis.code) == ""


def test_an_answer_that_passes_and_should_not_is_told() -> None:
    assert "some: the check passes it, not 'no-bound'" in problem_with(report(), "no-bound")


def test_an_answer_that_does_not_pass_and_should_is_told_with_the_faults() -> None:
    said = problem_with(report(child_killed=LOST))

    assert "(child killed), not 'that it passes'" in said
    assert "say in course.toml what is true" in said


def test_another_diagnosis_is_told() -> None:
    assert ", not 'no-bound'" in problem_with(report(child_killed=LOST), "no-bound")


def test_a_fault_that_does_not_decide_is_told() -> None:
    found = report(child_killed=LOST)
    assert found.diagnosis is not None

    assert "it survives 'worker killed'" in problem_with(
        found, found.diagnosis.code, "worker killed"
    )


def test_a_solution_that_was_not_tried_under_every_fault_is_told() -> None:
    found = Report(CRASH, {"no fault": GOOD}, None)

    assert "it was not tried under 'worker killed'" in problem_with(found)


def test_a_notebook_beyond_its_seconds_is_told() -> None:
    assert notebook_problem(START_HERE, 15.0, 15) is None
    said = str(notebook_problem(START_HERE, 16.2, 15))
    assert "it took 16 s, and 15 are allowed" in said
    assert "allow more in course.toml" in said


def test_a_report_of_pytest_gives_seconds_and_what_is_red(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    cells = (
        '<testcase name="rules" time="1.5"/>'
        '<testcase name="Cell 0" time="2"><properties><property name="a" value="b"/></properties>'
        "</testcase>"
    )
    red = '<testcase name="Cell 1" time="0.5"><failure message="no"/></testcase>'
    junit.write_text(f"<testsuites><testsuite>{cells}</testsuite></testsuites>")
    assert read_junit(junit) == (3.5, "")

    junit.write_text(f"<testsuites><testsuite>{cells}{red}{red}</testsuite></testsuites>")
    assert read_junit(junit) == (4.5, "Cell 1 is red under nbval, and 1 more")


# --- with a lab


def test_what_the_check_says_is_held_against_what_is_told(lab_here: Stack, tmp_path: Path) -> None:
    root = copy_course(tmp_path)
    course = (root / "course.toml").read_text().replace('"acknowledged-early"', '"fails-by-itself"')
    head, listed = course.split("[stage.exercise.wrong_answers]\nautoretry = ")
    rest = listed[listed.index("\n[[stage]]") :]
    wrong = 'late_only = { fault = "child killed", diagnosis = "no-bound" }\n'
    (root / "course.toml").write_text(f"{head}[stage.exercise.wrong_answers]\n{wrong}{rest}")
    for folder in ("solutions/02_crash", "exercises/02_crash/.starter"):
        (root / folder / "shop.py").write_text(AT_ONCE)
    (root / "solutions/02_crash/wrong_answers/late_only/shop.py").write_text(AT_ONCE)
    lines: list[str] = []

    found = list(answers_get_their_diagnosis(Context(root), ["02"], lines.append))

    assert [(one.where, one.what.partition(" (")[0]) for one in found] == [
        ("solutions/02_crash", "the check says 'fails-by-itself'"),
        ("solutions/02_crash/wrong_answers/late_only", "the check says 'fails-by-itself'"),
    ]
    assert lines == [
        "answers 1/3 02-solution: fails-by-itself, WRONG",
        "answers 2/3 02-starter: fails-by-itself",
        "answers 3/3 02-late_only: fails-by-itself, WRONG",
    ]


@pytest.mark.parametrize("printed", ["1\n", "2\n"])
def test_the_command_runs_the_notebooks_of_one_stage(
    printed: str, lab_here: Stack, tmp_path: Path
) -> None:
    root = copy_course(tmp_path)
    edited("course.toml", '"00_start_here" = 15', '"00_start_here" = 300')(root)
    outputs = [new_output("stream", name="stdout", text=printed)]
    cell = new_code_cell("print(1)", execution_count=1, outputs=outputs)
    nbformat.write(new_notebook(cells=[cell]), root / START_HERE)

    done = subprocess.run(
        [sys.executable, "-m", "labapp", "verify", "--run", "00"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )

    told, last = done.stdout.splitlines()[:-1], done.stdout.splitlines()[-1]
    assert "Run: 00; not run: answers and notebooks of all others." in last
    assert done.stderr.startswith(f"notebooks 1/1 {START_HERE}: "), done.stderr
    if printed == "1\n":
        assert (done.returncode, told) == (0, []), done.stdout
    else:
        assert done.returncode == 1
        assert told == [
            f"{START_HERE}: Cell 0 is red under nbval",
            "    `make test NB=00` shows it",
        ]
