"""`lab check` as a learner types it: exit statuses, JSON, and one clear line for each bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from answers import ROOT, STARTERS

from labapp.course import progress
from labapp.course.check import COULD_NOT_RUN, NOT_YET, PASSED, check
from labapp.course.stages import STAGES
from labapp.errors import LabError
from labapp.lab import publisher, strike
from labapp.stack.state import Stack

SOLUTION = (ROOT / "solutions" / "02_crash" / "shop.py").read_text()
BOUND = 45.0
"""Seconds that a check may take for an answer that hangs (idle machine: import 20, task 12)."""
LOADED = 4.0
"""How many times longer anything may take where other tests run beside it."""

Done = subprocess.CompletedProcess[str]


def lab(*arguments: str, cwd: Path = ROOT, **env: str) -> Done:
    """The real command, in the environment of this test."""
    return subprocess.run(
        [sys.executable, "-m", "labapp", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def answer(folder: Path, source: str) -> Path:
    """A learner's folder with this shop.py."""
    (folder / "shop.py").write_text(source)
    return folder


def refused(done: Done, message: str, hint: str = "") -> None:
    """It could not run, and said why in one line and a hint, without a traceback."""
    lines = [line for line in done.stderr.splitlines() if line[:2] not in ("1/", "2/")]
    assert done.returncode == COULD_NOT_RUN, f"{done.stdout}{done.stderr}"
    assert done.stdout == ""
    assert lines[0].startswith("lab: "), done.stderr
    assert message in lines[0]
    assert hint in "\n".join(lines[1:])
    assert len(lines) <= 2, done.stderr
    assert "Traceback" not in done.stderr


# --- what a check answers


def test_the_solution_passes_with_status_0_and_says_so_in_json(lab_here: Stack) -> None:
    before = progress.of("02_crash")

    done = lab("check", "02", "--answers", "solutions", "--json")

    assert done.returncode == PASSED, done.stderr
    assert progress.of("02_crash") == before, "the solution is not the learner's"
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert {key: told[key] for key in ("stage", "passed", "diagnosis")} == {
        "stage": "02",
        "passed": True,
        "diagnosis": None,
    }
    rows = {fault["name"]: fault for fault in told["faults"]}
    assert all(fault["at_least_once"] for name, fault in rows.items() if name != "poison order")
    assert rows["worker killed"]["duplicated"] == ["order-3"]
    assert set(rows["no fault"]) == {
        *("name", "at_least_once", "exactly_once", "lost", "duplicated", "stuck")
    }


def test_the_starter_ends_with_status_1_and_shows_progress_beside_the_report(
    lab_here: Stack,
) -> None:
    before = progress.of("02_crash")

    done = lab("check", "crash", cwd=ROOT / "notebooks")

    assert done.returncode == NOT_YET, done.stderr
    noted = replace(before, checks=before.checks + 1, diagnosis=STARTERS["02"])
    assert progress.of("02_crash") == noted
    assert f"Stage 02, crash: not yet ({STARTERS['02']})." in done.stdout
    assert "Look next: " in done.stdout
    assert done.stderr.splitlines() == [
        "1/5 no fault: passed",
        "2/5 worker killed: not yet",
        "3/5 child killed: not yet",
        "4/5 cold shutdown: not yet",
        "5/5 poison order: passed",
    ]


# --- answers that cannot be checked


def test_an_unknown_stage(lab_here: Stack) -> None:
    refused(lab("check", "99"), "there is no stage '99'", "02_crash")


def test_a_stage_without_an_exercise(lab_here: Stack) -> None:
    refused(lab("check", "00"), "has no exercise", "02")


def test_no_lab_is_running(lab_here: Stack, tmp_path: Path) -> None:
    elsewhere = {name: "" for name in os.environ if name.startswith("LAB_")}
    done = lab("check", "02", **elsewhere, LAB_HOME=str(tmp_path))
    refused(done, "no lab is running here", "make lab")


@pytest.mark.parametrize(
    ("answers", "message"), [("nowhere", "there is no folder "), ("shop.py", "is a file")]
)
def test_answers_that_are_no_folder(
    answers: str, message: str, lab_here: Stack, tmp_path: Path
) -> None:
    answer(tmp_path, SOLUTION)
    refused(lab("check", "02", "--answers", str(tmp_path / answers)), message, "shop.py")


def test_the_environment_names_the_answers_where_nobody_else_does(lab_here: Stack) -> None:
    refused(lab("check", "02", LAB_ANSWERS="nowhere"), "there is no folder nowhere")


def test_a_folder_without_the_module(lab_here: Stack, tmp_path: Path) -> None:
    refused(lab("check", "02", "--answers", str(tmp_path)), "there is no shop.py")


BAD_MODULES = {
    "syntax": (SOLUTION + "def broken(:\n", "SyntaxError", "shop.py, line 31"),
    "import": ("import no_such_thing\n" + SOLUTION, "No module named", "shop.py, line 1"),
    "no task": (SOLUTION.replace("def charge", "def pay"), "no task 'shop.charge'", "name"),
    "no app": ("answer = 42\n", "no Celery app", ""),
    "sys.exit": ("import sys\nsys.exit('bye')\n", "SystemExit: bye", "shop.py, line 2"),
    "os._exit": ("import os\nprint('bye')\nos._exit(4)\n", "status 4", ""),
    "no worker": (
        SOLUTION + "\nimport sys\nif 'worker' in sys.argv:\n    raise SystemExit('no, thanks')\n",
        "no, thanks",
        "lab logs",
    ),
}


@pytest.mark.parametrize("kind", BAD_MODULES)
def test_a_module_that_cannot_be_used(kind: str, lab_here: Stack, tmp_path: Path) -> None:
    source, message, hint = BAD_MODULES[kind]
    refused(lab("check", "02", "--answers", str(answer(tmp_path, source))), message, hint)


def test_a_module_that_hangs_when_imported_is_given_up(
    lab_here: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert publisher.IMPORT_DEADLINE < BOUND
    monkeypatch.setattr(publisher, "IMPORT_DEADLINE", 2.0)  # as patient as a test has time for

    with pytest.raises(LabError) as caught:
        check("02", answer(tmp_path, "import time\ntime.sleep(1e6)\n"))

    assert caught.value.message == "shop.py took more than 2 s to import"
    assert "work belongs into tasks" in caught.value.hint


# --- answers that can be checked, but only just


POST = "httpx.post(f'{PARTNER}/charges', json={'order': order}, timeout=60)\n"
TASK = SOLUTION[: SOLUTION.index("@app.task")] + "@app.task\ndef charge(order):\n"
STRANGE = {
    "hangs": ("    while True:\n        pass\n", "does-not-end"),
    "ends its process": ("    os._exit(3)\n", "fails-by-itself, does-not-end"),
    "asks nobody": ("    return 'done'\n", "no-charge"),
    "asks the wrong address": ("    httpx.post(PARTNER).raise_for_status()\n", "fails-by-itself"),
    "charges another order": (
        "    httpx.post(f'{PARTNER}/charges', json={'order': order.upper()}, timeout=60)\n",
        "charges-other-orders",
    ),
    "charges twice": (f"    for _ in range(2):\n        {POST}", "charges-twice"),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_a_task_that_fails_without_any_fault(kind: str, lab_here: Stack, tmp_path: Path) -> None:
    body, diagnoses = STRANGE[kind]
    began = time.monotonic()

    done = lab("check", "02", "--answers", str(answer(tmp_path, TASK + body)))

    assert done.returncode == NOT_YET, done.stderr
    assert any(f"not yet ({code})" in done.stdout for code in diagnoses.split(", ")), done.stdout
    assert "The other faults were not run" in done.stdout
    assert time.monotonic() - began < BOUND * LOADED


def test_a_module_that_prints_without_measure_and_forks(lab_here: Stack, tmp_path: Path) -> None:
    noise = "\nprint('x' * 5_000_000)\nif 'worker' not in __import__('sys').argv:\n    os.fork()\n"
    done = lab("check", "02", "--answers", str(answer(tmp_path, TASK + "    return 1\n" + noise)))

    assert done.returncode == NOT_YET, done.stderr
    assert "not yet (no-charge)" in done.stdout
    assert "xxx" not in done.stdout + done.stderr


def test_a_fault_that_cannot_strike_gives_no_verdict(
    lab_here: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert strike.TRIGGER_DEADLINE < BOUND
    monkeypatch.setattr(strike, "TRIGGER_DEADLINE", 3.0)  # as patient as a test has time for
    one_at_a_time = (
        "    from redis import Redis\n"
        "    with Redis.from_url(os.environ['CELERY_BROKER_URL']).lock('one', timeout=60):\n"
        f"        {POST}"
    )

    with pytest.raises(LabError) as caught:
        check("02", answer(tmp_path, TASK + one_at_a_time))

    told = caught.value
    assert told.message.startswith("no verdict for 'worker killed': the fault did not fire: ")
    assert "two orders at a time" in told.hint


# --- in a notebook


def ipython(source: str, folder: Path) -> Done:
    """What a cell with this source shows."""
    return subprocess.run(
        [sys.executable, "-m", "IPython", "--colors=NoColor", "-c", source],
        cwd=ROOT,
        env={**os.environ, "IPYTHONDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_a_cell_shows_progress_and_the_report(lab_here: Stack, tmp_path: Path) -> None:
    folder = answer(tmp_path, TASK + "    return 'done'\n")

    done = ipython(f"from labapp import check\ncheck('02', {str(folder)!r})", tmp_path)

    assert "1/5 no fault: not yet" in done.stdout
    assert "Stage 02, crash: not yet (no-charge)." in done.stdout


def test_a_cell_shows_a_mistake_in_two_lines(lab_here: Stack, tmp_path: Path) -> None:
    done = ipython("from labapp import check\ncheck('99')", tmp_path)

    shown = (done.stdout + done.stderr).strip().splitlines()
    known = ", ".join(stage.folder for stage in STAGES.values())
    assert shown == ["lab: there is no stage '99'", f"     stages: {known}"]
