"""Experiments whose effects are mails and files: same triggers, same deaths, same judgement."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from lab_bench import LATE, SHOPS, point_to

from labapp.errors import LabError
from labapp.faults import (
    Fault,
    answer,
    charge_of,
    drop_reply,
    file_of,
    kill_child,
    kill_worker,
    mail_of,
    never_answer,
    pause,
    stop,
)
from labapp.lab import Lab, orders
from labapp.lab.conductor import conduct
from labapp.lab.publisher import Module
from labapp.lab.run import Plan, Run, WorkerSettings
from labapp.lab.session import Session
from labapp.stack.state import Stack
from labapp.world.kinds import Kind

OFFICE = Module("office", SHOPS)
REJECT = LATE | {"task_reject_on_worker_lost": True}
WHOLE = 16_000
"""Bytes of an invoice."""
TORN = 4096


def experiment(
    session: Session, task: str, expect: tuple[Kind, ...], fault: Fault | None, **settings: Any
) -> Run:
    worker = WorkerSettings(concurrency=2, settings=settings)
    plan = Plan(OFFICE, f"office.{task}", orders(6), worker, fault, expect=expect, deadline=40.0)
    return conduct(session, plan)


def mails(names: str) -> list[str]:
    return [f"mail of order-{name}" for name in names]


def sent(fault: Fault | None, session: Session, **settings: Any) -> Run:
    return experiment(session, "write", (Kind.MAIL,), fault, **settings)


def stored(fault: Fault | None, session: Session, **settings: Any) -> Run:
    return experiment(session, "put", (Kind.FILE,), fault, **settings)


def states(run: Run) -> dict[str, tuple[int, bool]]:
    return {file.name: (file.size, file.complete) for file in run.stored}


def test_every_mail_is_sent_once(session: Session) -> None:
    run = sent(None, session)
    assert str(run.verdict) == (
        "at least once  yes      6 of 6 happened\n"
        "exactly once   yes      nothing happened twice\n"
        "sent 6 · happened 6 · lost 0 · duplicated 0 · recovered 0 · failed 0 · stuck 0"
    )


MAILS: dict[str, tuple[Fault, dict[str, Any], dict[str, list[str]]]] = {
    "a child killed after its mail is stored sends it twice": (
        kill_child(after=mail_of("order-3")),
        REJECT,
        {"duplicated": mails("3")},
    ),
    "a child killed before its mail is stored sends it once": (
        kill_child(before=mail_of("order-3")),
        REJECT,
        {"recovered": mails("3")},
    ),
    "a worker killed between two mails loses the later one under early ack": (
        kill_worker(after=mail_of("order-3"), before=mail_of("order-4")),
        {},
        {"lost": mails("4")},
    ),
    "a worker paused after its mail is stored sends it once more elsewhere": (
        pause(after=mail_of("order-3"), before=mail_of("order-4")),
        LATE | {"worker_prefetch_multiplier": 1},
        {"duplicated": mails("34")},
    ),
    "a warm shutdown lets the mails be sent": (
        stop("TERM", after=mail_of("order-3"), before=mail_of("order-4")),
        LATE,
        {},
    ),
    "a relay that says try later loses the mail of a task that does not": (
        answer(451, before=mail_of("order-3")),
        {},
        {"lost": mails("3")},
    ),
    "a relay that hangs up after it took a mail has taken it": (
        drop_reply(after=mail_of("order-3")),
        {},
        {},
    ),
}


@pytest.mark.parametrize("name", MAILS)
def test_mail_under_a_fault(session: Session, name: str) -> None:
    fault, settings, expected = MAILS[name]
    judged = sent(fault, session, **settings).judged
    assert judged.unknown == ""
    told = {word: list(getattr(judged, word)) for word in ("lost", "duplicated", "stuck")}
    assert told == {word: expected.get(word, []) for word in told}
    if "recovered" in expected:
        assert set(expected["recovered"]) <= set(judged.recovered)


def test_a_child_killed_in_the_midst_of_a_file_leaves_exactly_these_bytes(
    session: Session,
) -> None:
    run = stored(kill_child(after=file_of("order-3", after_bytes=TORN)), session)

    assert run.judged.lost == ("file of order-3",)
    assert run.judged.reasons == {"file of order-3": "FAILURE: WorkerLostError"}
    whole = {f"order-{n}.txt": (WHOLE, True) for n in range(1, 7)}
    assert states(run) == whole | {"order-3.txt": (TORN, False)}
    assert "order-3.txt" in repr(run.files)
    assert "torn" in repr(run.files)


def test_the_retried_write_mends_the_torn_file(session: Session) -> None:
    run = stored(kill_child(after=file_of("order-3", after_bytes=TORN)), session, **REJECT)

    assert run.judged.exactly_once
    assert "file of order-3" in run.judged.recovered
    assert states(run) == {f"order-{n}.txt": (WHOLE, True) for n in range(1, 7)}


def test_a_torn_file_is_really_there_for_whoever_reads_it(session: Session) -> None:
    fault = kill_worker(
        after=[file_of("order-3", after_bytes=TORN), file_of("order-4", after_bytes=1)]
    )
    run = stored(fault, session)

    assert run.judged.lost == ("file of order-3", "file of order-4")
    assert {name: size for name, (size, whole) in states(run).items() if not whole} == {
        "order-3.txt": TORN,
        "order-4.txt": 1,
    }


def test_a_worker_killed_after_its_file_is_stored_stores_it_again(session: Session) -> None:
    run = stored(kill_worker(after=file_of("order-3"), before=file_of("order-4")), session, **LATE)

    assert run.judged.duplicated == ("file of order-3",)
    assert "file of order-4" in run.judged.recovered


def test_a_fault_that_never_comes_is_no_verdict(session: Session) -> None:
    run = stored(drop_reply(after=file_of("order-3", after_bytes=WHOLE + 1)), session)
    assert "never came" in run.judged.unknown


def test_two_effects_of_one_task_are_judged_each(session: Session) -> None:
    expect = (Kind.CHARGE, Kind.MAIL)
    fault = kill_child(before=mail_of("order-3"))
    run = experiment(session, "charge_and_write", expect, fault, **REJECT)

    assert (run.judged.sent, run.judged.effects) == (12, 13)
    assert run.judged.duplicated == ("order-3",)
    assert "mail of order-3" in run.judged.recovered
    assert not run.judged.lost


def test_an_effect_that_nobody_expects_is_told(session: Session) -> None:
    run = experiment(session, "charge_and_write", (Kind.CHARGE,), None)
    assert run.judged.at_least_once
    assert run.judged.exactly_once is False
    assert set(run.judged.unexpected) == set(mails("123456"))


def test_a_client_that_is_never_answered_is_stuck(session: Session) -> None:
    plan = Plan(
        OFFICE,
        "office.write",
        orders(2),
        WorkerSettings(),
        never_answer(after=mail_of("order-2")),
        expect=(Kind.MAIL,),
        deadline=3.0,
    )
    assert conduct(session, plan).judged.stuck == ("mail of order-2",)


MISTAKES: dict[str, tuple[Callable[[Lab, Any], object], str, str]] = {
    "a kind that is none": (
        lambda lab, task: lab.run(task, orders(2), expect="letter"),
        "'letter' is no kind of effect",
        'use "charge", "mail", "file"',
    ),
    "a kind twice": (
        lambda lab, task: lab.run(task, orders(2), expect=["mail", "mail"]),
        "each kind of effect once",
        "use",
    ),
    "no kind": (lambda lab, task: lab.run(task, orders(2), expect=[]), "at least one", "use"),
    "a fault at another kind": (
        lambda lab, task: lab.run(task, orders(2), fault=kill_child(after=mail_of("order-1"))),
        "the fault strikes at a mail, but the run does not expect one",
        'expect="mail"',
    ),
    "a charge where mails are expected": (
        lambda lab, task: lab.run(
            task, orders(2), expect="mail", fault=kill_child(after=charge_of("order-1"))
        ),
        "strikes at a charge",
        'expect="charge"',
    ),
}


@pytest.fixture
def write_task(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The task, imported as a notebook imports it."""
    monkeypatch.syspath_prepend(str(SHOPS))
    import office

    return office.write


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_about_kinds_is_one_clear_line(
    here: dict[str, str], write_task: Any, name: str
) -> None:
    call, message, hint = MISTAKES[name]
    lab = Lab()
    try:
        with pytest.raises(LabError) as refused:
            call(lab, write_task)
    finally:
        lab.session.close()
    assert message in refused.value.message
    assert hint in refused.value.hint


def test_a_stack_without_a_mailbox_says_so(
    stack: Stack, write_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_to(monkeypatch, stack)
    monkeypatch.delenv("LAB_MAIL_URL")
    lab = Lab()
    try:
        with pytest.raises(LabError, match="no mailbox") as refused:
            lab.run(write_task, orders(2), expect="mail")
    finally:
        lab.session.close()
    assert "LAB_MAIL_URL" in refused.value.hint


def test_what_is_sent_by_hand_reaches_the_live_scope(
    here: dict[str, str], stack: Stack, write_task: Any
) -> None:
    lab = Lab()
    try:
        write_task("by hand")
        path = f"{stack.world_url}/control/scopes/live/mails"
        headers = {"Authorization": f"Bearer {stack.control_token}"}
        (mail,) = httpx.get(path, headers=headers, trust_env=False).json()
    finally:
        lab.session.close()
    assert (mail["key"], mail["subject"]) == ("by hand", "Thank you")
