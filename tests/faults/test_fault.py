"""How a learner writes a fault, how it reads back, and what the world is armed with."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from labapp.errors import LabError
from labapp.faults import (
    Fault,
    answer,
    charge_of,
    drop_reply,
    file_of,
    freeze_child,
    kill_child,
    kill_worker,
    late,
    mail_of,
    never_answer,
    nth_charge,
    open_charges,
    outage,
    pause,
    stop,
    together,
)
from labapp.world.kinds import SERVED, Kind, named
from labapp.world.rules import Do, Point, Rule

ORDER_3, ORDER_4 = charge_of("order-3"), charge_of("order-4")
MAIL_3, FILE_3 = mail_of("order-3"), file_of("order-3")
TORN_3 = file_of("order-3", after_bytes=4096)

MISTAKES: dict[str, tuple[Callable[[], object], str, str]] = {
    "a bare string": (
        lambda: kill_child(after="order-3"),  # type: ignore[arg-type]
        "'order-3' is no effect",
        "write charge_of('order-3')",
    ),
    "a bare string in a list": (
        lambda: kill_worker(after=[ORDER_3, "order-4"]),  # type: ignore[list-item]
        "'order-4' is no effect",
        "write charge_of('order-4')",
    ),
    "a number": (
        lambda: pause(before=3),  # type: ignore[arg-type]
        "3 is no effect",
        "write charge_of('3')",
    ),
    "no order": (lambda: charge_of(""), "'' is no order", "charge_of"),
    "an order that is a number": (
        lambda: charge_of(3),  # type: ignore[arg-type]
        "3 is no order",
        "charge_of",
    ),
    "nth 0": (lambda: nth_charge(0), "charges are counted from 1", "nth_charge(1)"),
    "no open charge": (lambda: open_charges(0), "at least one open charge", ""),
    "one charge twice": (
        lambda: kill_worker(after=ORDER_3, before=ORDER_3),
        "order-3 is named twice",
        "after or before",
    ),
    "kill_child without a moment": (kill_child, "kill_child needs a moment", "charge_of"),
    "kill_child with two": (
        lambda: kill_child(after=ORDER_3, before=ORDER_4),
        "kill_child strikes one charge",
        "exactly one",
    ),
    "kill_child with a rendezvous": (
        lambda: kill_child(after=open_charges(2)),
        "kill_child strikes one charge",
        "exactly one",
    ),
    "kill_child that gives up before it begins": (
        lambda: kill_child(after=ORDER_3, every_time=True, give_up_after=0),
        "give_up_after counts attempts",
        "",
    ),
    "fetching with a charge": (
        lambda: kill_worker(after=ORDER_3, while_fetching=True),
        "a worker that fetches has no charge in flight",
        "name no charge",
    ),
    "stop KILL": (lambda: stop("KILL"), "stop('KILL') is not known", "TERM"),
    "QUIT then kill": (lambda: stop("QUIT", then_kill=True), "stop('QUIT')", "then_kill"),
    "pause without a moment": (pause, "pause needs a moment", "charge_of"),
    "together without a moment": (together, "together needs a moment", "charge_of"),
    "drop_reply without a moment": (drop_reply, "drop_reply needs a moment", "charge_of"),
    "answer without a moment": (lambda: answer(500), "answer needs a moment", "charge_of"),
    "never_answer without a moment": (never_answer, "never_answer needs a moment", ""),
    "freeze_child without a moment": (freeze_child, "freeze_child needs a moment", "charge_of"),
    "freeze_child with two": (
        lambda: freeze_child(after=ORDER_3, before=ORDER_4),
        "freeze_child strikes one charge",
        "exactly one",
    ),
    "an outage of no time": (
        lambda: outage(seconds=0),
        "an outage cannot last 0 seconds",
        "outage(seconds=5)",
    ),
    "an outage that nobody waits for": (
        lambda: outage(seconds=3600),
        "an outage cannot last 3600 seconds",
        "at most 60",
    ),
    "an outage with 200": (lambda: outage(status=200), "200 is no error status", "400 to 599"),
    "an answer minus once": (
        lambda: answer(503, after=ORDER_3, times=-1),
        "nothing is done -1 times",
        "times=0 for every time",
    ),
    "answer 200": (lambda: answer(200, after=ORDER_3), "200 is no error status", "400 to 599"),
    "a mail of no order": (lambda: mail_of(""), "'' is no order", 'mail_of("order-3")'),
    "a file of a number": (
        lambda: file_of(3),  # type: ignore[arg-type]
        "3 is no order",
        'file_of("order-3")',
    ),
    "a file torn before it began": (
        lambda: file_of("order-3", after_bytes=-1),
        "not torn after -1 bytes",
        "count them from 1",
    ),
    "a file torn after half a byte": (
        lambda: file_of("order-3", after_bytes=0.5),  # type: ignore[arg-type]
        "not torn after 0.5 bytes",
        "count them from 1",
    ),
    "before some bytes": (
        lambda: kill_child(before=TORN_3),
        "no moment is before 4096 bytes of the file of order-3",
        "after=file_of",
    ),
    "one mail twice": (
        lambda: kill_worker(after=MAIL_3, before=MAIL_3),
        "mail of order-3 is named twice",
        "after or before",
    ),
    "a mail answered with 503": (
        lambda: answer(503, before=MAIL_3),
        "503 is no answer to a mail",
        "451 (try later)",
    ),
    "a mail with Retry-After": (
        lambda: answer(451, before=MAIL_3, retry_after=3),
        "no Retry-After",
        "leave retry_after out",
    ),
    "late by nothing": (lambda: late(0, after=ORDER_3), "late by more than 0", ""),
}


@pytest.mark.parametrize(("make", "message", "hint"), MISTAKES.values(), ids=list(MISTAKES))
def test_a_mistake_is_told_in_one_line(make: Callable[[], object], message: str, hint: str) -> None:
    with pytest.raises(LabError) as refused:
        make()
    assert message in refused.value.message
    assert hint in refused.value.hint
    assert "\n" not in str(refused.value)


FAULTS: dict[str, Fault] = {
    "kill child after the charge of order-3": kill_child(after=ORDER_3),
    "kill child every time before the charge of order-3": kill_child(
        before=ORDER_3, every_time=True
    ),
    "kill worker after the charge of order-3 and before the charge of order-4": kill_worker(
        after=ORDER_3, before=ORDER_4
    ),
    "kill worker after charge number 3": kill_worker(after=nth_charge(3)),
    "kill worker before 2 open charges": kill_worker(before=open_charges(2)),
    "kill worker before 1 open charge": kill_worker(before=open_charges(1)),
    "let them happen together before 4 open charges": together(before=open_charges(4)),
    "kill worker now": kill_worker(),
    "pause before the charge of order-3 and before the charge of order-4": pause(
        before=[ORDER_3, ORDER_4]
    ),
    "TERM after the charge of order-3": stop("TERM", after=ORDER_3),
    "QUIT now": stop("QUIT"),
    "TERM, then kill after the charge of order-3": stop("TERM", after=ORDER_3, then_kill=True),
    "drop the reply after the charge of order-3": drop_reply(after=ORDER_3),
    "answer 503 before the charge of order-3": answer(503, before=ORDER_3),
    "answer late after the charge of order-3": late(2, after=ORDER_3),
    "never answer before the charge of order-3": never_answer(before=ORDER_3),
    "kill child after the mail of order-3": kill_child(after=MAIL_3),
    "kill worker before the file of order-3": kill_worker(before=FILE_3),
    "kill child after 4096 bytes of the file of order-3": kill_child(after=TORN_3),
    "answer 451 before the mail of order-3": answer(451, before=MAIL_3),
}


@pytest.mark.parametrize(("words", "fault"), FAULTS.items(), ids=list(FAULTS))
def test_a_fault_reads_like_prose(words: str, fault: Fault) -> None:
    assert str(fault) == words


AFTER, BEFORE = Point.AFTER, Point.BEFORE
RULES: list[tuple[Fault, list[Rule]]] = [
    (
        kill_worker(after=ORDER_3, before=ORDER_4),
        [Rule(AFTER, Do.HOLD, key="order-3"), Rule(BEFORE, Do.HOLD, key="order-4")],
    ),
    (kill_worker(before=open_charges(3)), [Rule(BEFORE, Do.HOLD, times=3)]),
    (kill_worker(), []),
    (
        kill_child(before=ORDER_3, every_time=True),
        [Rule(BEFORE, Do.HOLD, key="order-3", times=0)],
    ),
    (kill_child(after=nth_charge(2)), [Rule(AFTER, Do.HOLD, nth=2)]),
    (drop_reply(after=ORDER_3), [Rule(AFTER, Do.DROP, key="order-3")]),
    (never_answer(before=ORDER_3), [Rule(BEFORE, Do.NEVER, key="order-3")]),
    (late(2.5, after=ORDER_3), [Rule(AFTER, Do.ANSWER, key="order-3", delay=2.5)]),
    (
        answer(429, before=ORDER_3, retry_after=7, times=2),
        [Rule(BEFORE, Do.ANSWER, key="order-3", times=2, status=429, retry_after=7)],
    ),
    (kill_child(after=MAIL_3), [Rule(AFTER, Do.HOLD, key="order-3", kind=Kind.MAIL)]),
    (kill_child(before=FILE_3), [Rule(BEFORE, Do.HOLD, key="order-3", kind=Kind.FILE)]),
    (
        kill_child(after=TORN_3),
        [Rule(Point.DURING, Do.HOLD, key="order-3", kind=Kind.FILE, after_bytes=4096)],
    ),
]


@pytest.mark.parametrize(("fault", "rules"), RULES, ids=[str(fault) for fault, _ in RULES])
def test_the_world_is_armed_with_these_rules(fault: Fault, rules: list[Rule]) -> None:
    assert fault.rules() == rules


def test_in_flight_counts_the_members_of_a_rendezvous() -> None:
    assert kill_worker(after=ORDER_3, before=open_charges(2)).in_flight == 3
    assert kill_worker().in_flight == 0


def test_who_acts_and_who_is_gone_afterwards() -> None:
    alone = [drop_reply(after=ORDER_3), answer(500, after=ORDER_3), never_answer(after=ORDER_3)]
    assert not any(fault.action.on_processes for fault in alone)
    ending = [kill_worker(), stop("TERM"), stop("QUIT"), stop("TERM", then_kill=True)]
    assert all(fault.action.ends_worker for fault in ending)
    staying = [kill_child(after=ORDER_3), pause(after=ORDER_3)]
    assert not any(fault.action.ends_worker for fault in staying)


def test_a_fault_names_what_it_strikes_as_the_history_does() -> None:
    fault = kill_worker(after=[ORDER_3, MAIL_3], before=FILE_3)
    assert fault.keys == ("order-3",) * 3
    assert fault.names == ("order-3", "mail of order-3", "file of order-3")
    assert fault.kinds == set(SERVED)
    assert len({named(kind, "order-3") for kind in Kind}) == len(Kind)
