"""Stage 05: its diagnoses, from made-up outcomes, and what its numbers leave room for."""

from __future__ import annotations

import math
import random
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from answers import ROOT
from hypothesis import given
from hypothesis import strategies as st
from test_check_command import lab, refused
from test_diagnoses import WELL, lost, outcome, stuck

from labapp.checker.history import Mark
from labapp.course.check import check, waits_of
from labapp.course.stage import Outcome
from labapp.course.stage_05 import (
    AWAY,
    AWAY_SECONDS,
    BUSY,
    CALM,
    DECLINED,
    FOREVER,
    FROZEN,
    MANY,
    MOST,
    MOST_TRIES,
    PATIENCE,
    POISON,
    REPLAYED,
    RETRIES,
    RETRY_AFTER,
    SECONDS,
    SILENT,
    STRUCK,
    TWICE,
    WORKER,
    in_lock_step,
)
from labapp.lab.matrix import cells, run_matrix
from labapp.lab.publisher import Module
from labapp.lab.run import Plan, WorkerSettings
from labapp.stack.state import Stack
from labapp.world.kinds import Kind

SOLUTION = ROOT / "solutions/05_retries"
TRIALS = {trial.name: trial for trial in RETRIES.trials}


def seen(made_up: Outcome, tries: int = 1, gap: float = 1.0, waits: float = 0.5) -> Outcome:
    """The outcome, with so many tries of the struck order, so many seconds apart, and with first
    waits that differ by so many seconds."""
    at = tuple(gap * n for n in range(tries))
    spread = {f"order-{n}": (1 + waits * n / MANY,) for n in range(1, MANY + 1)}
    return replace(made_up, tries={STRUCK: at}, waits=spread)


def said(name: str, made_up: Outcome, **states: str) -> Outcome:
    """The outcome, with results that say what they must in this trial."""
    return replace(made_up, states=TRIALS[name].must_say() | states)


ASIDE = replace(
    outcome(dead_lettered={STRUCK: "", f"booking of {STRUCK}": ""}),
    letters=(STRUCK,),
)
FAILED = lost(STRUCK, "FAILURE: HTTPStatusError")
GOOD = {
    **dict.fromkeys(TRIALS, WELL),
    **dict.fromkeys((DECLINED, FROZEN, POISON), ASIDE),
    BUSY: seen(WELL, 2, RETRY_AFTER + 0.5),
    FOREVER: seen(ASIDE, 6),
    DECLINED: seen(ASIDE, 1),
    AWAY: seen(WELL),
    REPLAYED: replace(WELL, letters=(STRUCK,)),
}
SOLVED = {name: said(name, made_up) for name, made_up in GOOD.items()}

EXAMPLES = (
    ("charges-other-orders", {CALM: outcome(unexpected={"ORDER-1": ""})}),
    ("does-not-end", {CALM: stuck("running", "order-1")}),
    ("charges-twice", {CALM: outcome(duplicated={"order-1": ""})}),
    ("fails-by-itself", {CALM: lost("order-1", "FAILURE: KeyError")}),
    ("fails-by-itself", {CALM: replace(WELL, letters=("order-1",))}),
    ("swallows-errors", {DECLINED: lost(STRUCK, "SUCCESS"), FOREVER: lost(STRUCK, "SUCCESS")}),
    ("gives-up-in-silence", {FOREVER: lost(STRUCK, "SUCCESS")}),
    ("swallows-the-limit", {SILENT: lost(STRUCK, "SUCCESS")}),
    ("retries-the-permanent", {DECLINED: seen(ASIDE, 6)}),
    ("retries-the-permanent", {DECLINED: seen(FAILED, 3), SILENT: stuck("running", STRUCK)}),
    ("waits-too-long", {TWICE: stuck("waiting", STRUCK), BUSY: stuck("waiting", STRUCK)}),
    ("never-tries-again", {TWICE: seen(FAILED, 1), DECLINED: seen(FAILED, 1)}),
    ("no-bound", {POISON: stuck("running", STRUCK)}),
    ("no-bound", {FOREVER: seen(ASIDE, MOST_TRIES + 1)}),
    ("no-bound", {FOREVER: stuck("unacked", STRUCK)}),
    ("no-timeout", {SILENT: stuck("running", STRUCK)}),
    ("no-timeout", {SILENT: ASIDE}),
    ("no-hard-limit", {FROZEN: stuck("running", STRUCK)}),
    ("letter-too-early", {TWICE: replace(WELL, letters=(STRUCK,))}),
    ("letter-twice", {FROZEN: replace(ASIDE, letters=(STRUCK, STRUCK))}),
    ("no-dead-letter", {DECLINED: seen(FAILED, 1), POISON: outcome(failed={STRUCK: "FAILURE"})}),
    ("misses-the-lost-worker", {POISON: outcome(failed={STRUCK: "FAILURE"})}),
    ("misses-the-limit", {FROZEN: lost(STRUCK, "FAILURE: TimeLimitExceeded")}),
    ("misses-the-last-refusal", {FOREVER: seen(FAILED, 6)}),
    ("cannot-be-replayed", {REPLAYED: ASIDE}),
    ("comes-too-early", {BUSY: seen(WELL, 2, RETRY_AFTER - 1)}),
    ("gives-up-too-early", {AWAY: seen(ASIDE)}),
    ("lock-step", {AWAY: seen(WELL, waits=0.01)}),
    ("acknowledged-early", {WORKER: lost(STRUCK, "PENDING")}),
    ("charges-again", {WORKER: outcome(duplicated={"order-1": ""})}),
    ("not-passed", {BUSY: seen(WELL, 2, RETRY_AFTER + PATIENCE + 1)}),
    ("not-passed", {FROZEN: said(FROZEN, ASIDE, **{STRUCK: "SUCCESS"})}),
)


@pytest.mark.parametrize(("code", "changed"), EXAMPLES)
def test_outcomes_of_stage_05_get_the_diagnosis_that_fits(
    code: str, changed: dict[str, Outcome]
) -> None:
    whole = {n: o if o.states else said(n, o) for n, o in changed.items()}
    found = RETRIES.diagnose(whole if CALM in changed else {**SOLVED, **whole})

    assert found is not None
    assert found.code == code


def test_every_diagnosis_of_stage_05_has_an_example() -> None:
    codes = {diagnosis.code for diagnosis in RETRIES.diagnoses}
    without = codes - {code for code, _ in EXAMPLES}
    assert not without, f"add a made-up example of {sorted(without)} to EXAMPLES"


def test_the_outcomes_of_a_solution_get_no_diagnosis() -> None:
    assert RETRIES.failed(SOLVED) == []
    assert RETRIES.diagnose(SOLVED) is None


def test_an_order_put_aside_beside_the_one_that_must_be_is_not_good_enough() -> None:
    both = outcome(dead_lettered={STRUCK: "", "order-3": ""})
    assert not TRIALS[FROZEN].passed(said(FROZEN, replace(both, letters=(STRUCK, "order-3"))))
    assert not TRIALS[FROZEN].passed(said(FROZEN, replace(WELL, letters=(STRUCK,))))
    assert not TRIALS[CALM].passed(said(CALM, replace(WELL, letters=("order-1",))))


# The numbers


@given(st.integers(0, 2**32))
def test_a_jitter_of_half_of_each_wait_is_never_taken_for_lock_step(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  a draw to repeat, not a secret
    waits = {f"order-{n}": (chance.uniform(0.5, 1), chance.uniform(1, 2)) for n in range(MANY)}
    assert not in_lock_step(replace(WELL, waits=waits))


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_celerys_own_jitter_is_not_taken_for_lock_step(factor: int) -> None:
    """Whole seconds, from none to the whole wait (celery/utils/time.py).  An order draws one of
    six pairs at the least, and 14 of 20 the same one less than once in a million checks."""
    pairs = (factor + 1) * (2 * factor + 1)
    alike = math.ceil(MOST * MANY)
    chance = sum(math.comb(MANY, n) * (pairs - 1) ** (MANY - n) for n in range(alike, MANY + 1))
    assert pairs * chance / pairs**MANY < 1.1e-6
    drawing = random.Random(factor)  # noqa: S311  a draw to repeat, not a secret

    def drawn() -> Outcome:
        bounds = (factor, 2 * factor)
        waits = [tuple(float(drawing.randrange(most + 1)) for most in bounds) for _ in range(MANY)]
        return replace(WELL, waits={f"order-{n}": pair for n, pair in enumerate(waits)})

    assert not any(in_lock_step(drawn()) for _ in range(1000))


@pytest.mark.parametrize("waits", [(2.0, 4.0), (0.0, 0.0), (3.0,)])
def test_orders_of_which_some_needed_one_retry_only_are_in_lock_step(
    waits: tuple[float, ...],
) -> None:
    told = {f"order-{n}": waits[: 1 + n % 2] for n in range(MANY)}
    assert in_lock_step(replace(WELL, waits=told))


@given(st.integers(0, 2**32), st.floats(0.2, 10))
def test_equal_waits_are_lock_step_whatever_a_loaded_machine_adds(seed: int, wait: float) -> None:
    """At most a hundredth of a second lies between the count and the message, hundreds rarely."""
    chance = random.Random(seed)  # noqa: S311  a draw to repeat, not a secret
    noise = [chance.uniform(0, 0.01) + (0.2 if chance.random() < 0.1 else 0) for _ in range(MANY)]
    waits = {f"order-{n}": (wait - min(late, wait),) for n, late in enumerate(noise)}
    assert in_lock_step(replace(WELL, waits=waits))


def test_the_solutions_waits_outlast_the_partners_absence_and_fit_into_the_time() -> None:
    """What the solution's README says of them."""
    waits = [min(2**retries, 4) for retries in range(5)]
    assert sum(waits) / 2 == 7.5 > AWAY_SECONDS
    assert sum(waits) + 6 * 2 <= SECONDS, "each of six attempts may take two seconds"


def test_waits_are_those_of_messages_after_the_first() -> None:
    marks = [
        Mark(0.0, "order-1", "queued"),
        Mark(0.1, "order-2", "queued"),
        Mark(0.2, "order-1", "fetched"),
        Mark(0.3, "order-1", "queued", wait=0.7),
        Mark(1.3, "order-1", "queued"),
    ]
    assert waits_of(marks) == {"order-1": (0.7, 0.0)}


# The answers


def test_a_function_as_backoff_is_told_in_one_line(lab_here: Stack, tmp_path: Path) -> None:
    source = (SOLUTION / "shop.py").read_text()
    changed = source.replace(
        "max_retries=5,", "max_retries=5, autoretry_for=(OSError,), retry_backoff=lambda n: 2**n,"
    )
    assert changed != source
    (tmp_path / "shop.py").write_text(changed)

    done: subprocess.CompletedProcess[str] = lab("check", "05", "--answers", str(tmp_path))

    refused(
        done,
        "shop.py does not import: TypeError: float() argument",
        "look at what its @app.task(…)",
    )


def test_an_answer_that_fails_by_itself_is_tried_under_no_fault(
    lab_here: Stack, tmp_path: Path
) -> None:
    source = (SOLUTION / "shop.py").read_text()
    changed = source.replace('{"order": order}', '{"ordre": order}')
    assert changed != source
    (tmp_path / "shop.py").write_text(changed)

    report = check("05", tmp_path)

    assert list(report.outcomes) == [CALM]
    assert report.diagnosis is not None
    assert report.diagnosis.code == "fails-by-itself"
    (calm, *others) = report.to_json()["faults"]
    assert sorted(calm["dead_letters"]) == [f"order-{n}" for n in range(1, 5)]
    assert all(fault["at_least_once"] is None for fault in others)


def test_replayed_work_comes_through_the_whole_crash_matrix_exactly_once(lab_here: Stack) -> None:
    """Every order comes as a dead letter that is replayed, and is struck; none is put aside."""
    plan = Plan(
        Module("shop", ROOT / "solutions/04_idempotency"),
        "shop.charge",
        [(f"order-{n}", f"customer-{n}", 10) for n in range(1, 4)],
        WorkerSettings(),
        expect=(Kind.CHARGE, Kind.BOOKING),
        deadline=60.0,
        by_replay=True,
    )
    rows = [cell.name for cell in cells(plan)]

    matrix = run_matrix(lab_here, plan)

    assert list(matrix.runs) == rows
    assert {name: v.exactly_once for name, v in matrix.verdicts.items()} == dict.fromkeys(
        rows, True
    ), matrix
    assert not any(run.letters for run in matrix.runs.values())
