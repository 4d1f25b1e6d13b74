"""`lab doctor --workshop`: everything once, offline, beside a lab that runs; and bad machines."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from offline_bench import without_network

from labapp.stack.testing import LAB

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from conftest import Lab


def found(done: CompletedProcess[str]) -> dict[str, tuple[str, str]]:
    """What was looked at → its mark and what was said of it."""
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines() if line[:2] == "  "]
    return {what: (mark, said) for mark, what, said in lines if mark != "..."}


def rehearsals() -> set[Path]:
    """Folders in which a rehearsal goes on, or was left."""
    return set(Path(tempfile.gettempdir()).glob("lab-preflight-*"))


def test_without_a_network_a_machine_is_tried_from_end_to_end(lab: Lab) -> None:
    before = rehearsals()
    done = lab.run(*without_network(), *LAB, "doctor", "--workshop")

    told = found(done)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {mark for mark, _ in told.values()} <= {"ok", "note"}
    assert list(told)[-4:] == ["start", "charge", "crash", "stop"]
    assert told["charge"][1].startswith("1 of 1 charged, lost: none")
    assert told["crash"][1].startswith("9 of 10 charged, lost: order-4")
    assert "processes are gone" in told["stop"][1]
    assert done.stdout.endswith("lab: ready for the workshop\n")
    assert "  ...      killing a worker" in done.stdout  # nobody has to wonder whether it hangs
    assert rehearsals() <= before


def test_a_lab_that_runs_in_the_folder_is_not_disturbed(lab: Lab) -> None:
    lab.up()
    state = (lab.home / "stack.json").read_text()
    logs = {path: path.stat().st_ino for path in (lab.home / "logs").rglob("*.log")}

    done = lab("doctor", "--workshop")

    assert done.returncode == 0, done.stdout + done.stderr
    assert found(done)["lab"][1].startswith("running")
    assert (lab.home / "stack.json").read_text() == state
    assert {path: path.stat().st_ino for path in (lab.home / "logs").rglob("*.log")} == logs
    assert all(process.is_running() for process in lab.family())


def test_a_machine_without_a_broker_is_told_so_line_by_line(lab: Lab) -> None:
    done = lab("doctor", "--workshop", LAB_BROKER_SERVER="/nowhere")

    told = found(done)
    assert done.returncode == 1
    assert told["broker"][0] == "missing"
    assert told["start"][0] == "failed"
    assert "LAB_BROKER_SERVER is /nowhere" in told["start"][1]
    assert "charge" not in told
    assert done.stdout.splitlines()[-1] == "lab: 2 to mend, see above"


def test_a_proxy_that_takes_loopback_away_is_named_and_really_does(lab: Lab) -> None:
    done = lab("doctor", "--workshop", HTTP_PROXY="http://127.0.0.1:9", NO_PROXY="")

    told = found(done)
    assert done.returncode == 1
    assert told["proxies"][0] == "missing"
    assert "export NO_PROXY=127.0.0.1,localhost" in told["proxies"][1]
    assert told["charge"][0] == "failed"
    assert told["charge"][1].startswith("0 of 1 charged, lost: order-1")


def test_a_doctor_without_the_option_starts_nothing(lab: Lab) -> None:
    done = lab("doctor")
    assert "start" not in found(done)
    assert "workshop" not in done.stdout
