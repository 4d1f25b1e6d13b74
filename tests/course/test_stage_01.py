"""Stage 01: its diagnoses, from made-up outcomes, and what its check says of other APIs."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from answers import ROOT, STARTERS
from test_check_command import lab, refused

from labapp.checker.verdict import Verdict
from labapp.course.check import NOT_YET, PASSED, check
from labapp.course.report import Report
from labapp.course.stage import NOTHING, Heard, Outcome
from labapp.course.stage_01 import (
    AWAY,
    CALM,
    EXPIRED,
    FAILED,
    FIRST_QUEUE,
    KILLED,
    QUEUED,
    REPLY_LOST,
    RESTARTED,
    RUNNING,
    UNKNOWN,
)
from labapp.stack.state import Stack

SOLUTION = ROOT / "solutions" / "01_first_queue"
ONE = Verdict(sent=1, happened=1, effects=1)
TWO = Verdict(sent=1, happened=1, effects=2, duplicated=("order-5",))
NONE = Verdict(sent=1, happened=0, effects=0, lost=("order-6",))
GIVEN_UP = Verdict(sent=1, happened=0, effects=0, failed=("order-3",))


def outcome(*said: tuple[str, str], verdict: Verdict = NOTHING.verdict, copies: int = 0) -> Outcome:
    """A made-up outcome: what was true and what was said, and what became of the order."""
    return Outcome(verdict, heard=tuple(Heard(*pair) for pair in said), copies=copies)


TAKEN, DONE = ("202", "202"), ("done", "done")
SOLVED = {
    CALM: outcome(TAKEN, DONE, verdict=ONE),
    UNKNOWN: outcome(("unknown", "unknown")),
    FAILED: outcome(("failed", "failed"), verdict=GIVEN_UP),
    EXPIRED: outcome(("expired", "expired")),
    RUNNING: outcome(("running", "running")),
    KILLED: outcome(("lost", "lost"), verdict=GIVEN_UP),
    QUEUED: outcome(("queued", "queued"), ("queued", "queued")),
    RESTARTED: outcome(("queued", "queued")),
    REPLY_LOST: outcome(("202 or 503", "503"), TAKEN, verdict=ONE, copies=1),
    AWAY: outcome(("503", "503"), TAKEN, verdict=ONE),
}
EITHER = "202 or 503"
EXAMPLES = (
    ("waits-for-the-work", {CALM: outcome(("202", "no answer"), DONE, verdict=NONE)}),
    ("takes-no-orders", {CALM: outcome(("202", "404"), ("done", "unknown"), verdict=NONE)}),
    ("takes-no-orders", {CALM: outcome(("202", "500"), ("done", "500"), verdict=NONE)}),
    ("no-location", {CALM: outcome(("202", "202 without a Location"), DONE, verdict=ONE)}),
    ("does-not-say-done", {CALM: outcome(TAKEN, ("done", "queued"), verdict=ONE)}),
    ("does-not-say-done", {CALM: outcome(TAKEN, ("done", "done without the result"), verdict=ONE)}),
    ("lost", {CALM: outcome(TAKEN, DONE, verdict=NONE)}),
    ("duplicated", {CALM: outcome(TAKEN, DONE, verdict=TWO)}),
    ("pending-is-queued", {UNKNOWN: outcome(("unknown", "queued"))}),
    ("pending-is-queued", {UNKNOWN: outcome(("unknown", "500"))}),
    ("failure-breaks-the-answer", {FAILED: outcome(("failed", "500"), verdict=NONE)}),
    ("failure-not-told", {FAILED: outcome(("failed", "done"), verdict=NONE)}),
    ("queued-is-lost", {QUEUED: outcome(("queued", "queued"), ("queued", "lost"))}),
    ("forgets-with-its-process", {RESTARTED: outcome(("queued", "unknown"))}),
    ("expired-is-forgotten", {EXPIRED: outcome(("expired", "lost"))}),
    ("expired-is-forgotten", {EXPIRED: outcome(("expired", "unknown"))}),
    ("running-is-lost", {RUNNING: outcome(("running", "lost"))}),
    ("running-is-lost", {RUNNING: outcome(("running", "queued"))}),
    ("waits-for-ever", {KILLED: outcome(("lost", "running"), verdict=NONE)}),
    (
        "publishes-without-end",
        {REPLY_LOST: outcome((EITHER, "no answer"), TAKEN, verdict=TWO, copies=1)},
    ),
    (
        "publishes-again-by-itself",
        {REPLY_LOST: outcome((EITHER, "503"), TAKEN, verdict=TWO, copies=2)},
    ),
    ("error-means-not-sent", {REPLY_LOST: outcome((EITHER, "503"), TAKEN, verdict=TWO, copies=1)}),
    ("promises-what-it-did-not-send", {AWAY: outcome(("503", "202"), verdict=NONE)}),
    ("never-sends-again", {AWAY: outcome(("503", "503"), TAKEN, verdict=NONE)}),
    ("publish-error-is-a-crash", {AWAY: outcome(("503", "500"), TAKEN, verdict=ONE)}),
    (
        "publish-error-is-a-crash",
        {REPLY_LOST: outcome((EITHER, "500"), TAKEN, verdict=ONE, copies=1)},
    ),
    ("not-passed", {AWAY: outcome(("503", "no answer"), TAKEN, verdict=ONE)}),
)


@pytest.mark.parametrize(("code", "changed"), EXAMPLES)
def test_outcomes_of_stage_01_get_the_diagnosis_that_fits(
    code: str, changed: dict[str, Outcome]
) -> None:
    outcomes = changed if CALM in changed else {**SOLVED, **changed}

    found = FIRST_QUEUE.diagnose(outcomes)

    assert found is not None
    assert found.code == code


def test_every_diagnosis_of_stage_01_has_an_example() -> None:
    known = {diagnosis.code for diagnosis in FIRST_QUEUE.diagnoses}
    without = known - {code for code, _ in EXAMPLES}
    assert not without, f"add a made-up example of {sorted(without)} to EXAMPLES"


def test_the_outcomes_of_a_solution_get_no_diagnosis() -> None:
    assert FIRST_QUEUE.failed(SOLVED) == []
    assert FIRST_QUEUE.diagnose(SOLVED) is None


def test_an_answer_is_right_where_it_is_one_of_those_that_are_true() -> None:
    assert Heard("202 or 503", "503").right
    assert not Heard("202 or 503", "202 or 503").right
    assert not Heard("lost", "").right


def test_the_report_shows_what_is_true_beside_what_is_said() -> None:
    outcomes = {**SOLVED, UNKNOWN: outcome(("unknown", "queued"))}
    report = Report(FIRST_QUEUE, outcomes, FIRST_QUEUE.diagnose(outcomes))

    lines = [re.split(r"  +", line) for line in repr(report).splitlines()[:11]]

    assert lines[0] == ["question", "right", "what is true", "what is said", "lost", "duplicated"]
    assert lines[2] == ["unknown id", "NO", "unknown", "queued", "-", "-"]
    assert lines[7] == ["queued", "yes", "queued", "queued", "-", "-"]
    assert lines[9][2:4] == ["202 or 503, then 202", "503, then 202"]
    assert report.to_json()["faults"][1]["heard"] == [{"truth": "unknown", "said": "queued"}]


# --- the check, as a learner runs it


def test_the_solution_passes_with_status_0_and_says_so_in_json(lab_here: Stack) -> None:
    done = lab("check", "01", "--answers", "solutions", "--json")

    assert done.returncode == PASSED, f"{done.stdout}{done.stderr}"
    told = json.loads(done.stdout)
    assert (told["stage"], told["passed"], told["diagnosis"]) == ("01", True, None)
    assert [fault["name"] for fault in told["faults"]] == [q.name for q in FIRST_QUEUE.trials]
    assert all(fault["exactly_once"] for fault in told["faults"])


def test_the_starter_ends_with_status_1_and_the_rest_is_asked_all_the_same(
    lab_here: Stack,
) -> None:
    done = lab("check", "first_queue")

    assert done.returncode == NOT_YET, done.stderr
    assert f"Stage 01, first queue: not yet ({STARTERS['01']})." in done.stdout
    assert done.stderr.splitlines()[:3] == [
        "1/10 no fault: passed",
        "2/10 unknown id: not yet",
        "3/10 failed charge: passed",
    ]
    assert len(done.stderr.splitlines()) == 10


def answer_in(folder: Path, **changes: str) -> Path:
    """The solution, with one module as given."""
    for name in ("api.py", "shop.py"):
        shutil.copy(SOLUTION / name, folder / name)
    for name, source in changes.items():
        (folder / f"{name}.py").write_text(source)
    return folder


BAD = {
    "syntax": ({"api": "def broken(:\n"}, "api.py does not start: SyntaxError", "uvicorn api:app"),
    "no app": ({"api": "answer = 42\n"}, 'Attribute "app" not found', "uvicorn api:app"),
    "shop": ({"shop": "import no_such_thing\n"}, "No module named 'no_such_thing'", ""),
    "no worker": (
        {
            "shop": (SOLUTION / "shop.py").read_text()
            + "\nimport sys\nif 'worker' in sys.argv:\n    raise SystemExit('no, thanks')\n"
        },
        "no, thanks",
        "lab logs",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_modules_that_cannot_be_used(kind: str, lab_here: Stack, tmp_path: Path) -> None:
    changes, message, hint = BAD[kind]
    refused(lab("check", "01", "--answers", str(answer_in(tmp_path, **changes))), message, hint)


def test_a_folder_without_an_api(lab_here: Stack, tmp_path: Path) -> None:
    refused(lab("check", "01", "--answers", str(tmp_path)), "there is no api.py")


def test_an_api_that_ends_its_process_is_no_crash_of_the_check(
    lab_here: Stack, tmp_path: Path
) -> None:
    source = (SOLUTION / "api.py").read_text()
    source = source.replace('response.headers["Location"]', "os._exit(3)\n    response.headers[0]")

    report = check("01", answer_in(tmp_path, api=source))

    assert list(report.outcomes) == [CALM]
    assert report.outcomes[CALM].said[0] == "no answer"


LATE = 'app.conf.task_acks_late = True\n\nPARTNER = os.environ.get("PARTNER_URL"'


def test_a_shop_that_acknowledges_late_is_asked_what_is_true_of_it(
    lab_here: Stack, tmp_path: Path
) -> None:
    source = (
        (SOLUTION / "shop.py").read_text().replace('PARTNER = os.environ.get("PARTNER_URL"', LATE)
    )

    report = check("01", answer_in(tmp_path, shop=source))

    assert report.passed, f"{report!r}"
    assert report.outcomes[RUNNING].heard[0].truth == "running or queued"
    assert report.outcomes[KILLED].heard[0].truth == "queued"


OUTBOX = """
import threading


there, kept = in_broker, set()


def in_broker(order):
    return order in kept or there(order)


def publish(order):
    note(order, seen=time.time(), missing=0)
    kept.add(order)
    threading.Thread(target=send_until_sent, args=(order,), daemon=True).start()


def send_until_sent(order):
    while not there(order):
        try:
            charge.apply_async((order,), task_id=order)
            break
        except OperationalError:
            time.sleep(0.1)
    kept.discard(order)
"""


def test_an_api_that_keeps_what_it_could_not_send_may_promise_it(
    lab_here: Stack, tmp_path: Path
) -> None:
    report = check("01", answer_in(tmp_path, api=(SOLUTION / "api.py").read_text() + OUTBOX))

    assert report.passed, f"{report!r}"
    assert report.outcomes[AWAY].heard == (Heard("202", "202"),)
