"""The conductor: carries one experiment out, the same way each time.

send under fault → faults off → recover → drain with a deadline → read the world.  The order of the
steps, and what each one waits for, is what makes a verdict the same on every run;
docs/experiments.md gives the reasons.  No step sleeps: each waits for a state, with a deadline.
"""

from __future__ import annotations

import contextlib
import time

from labapp.checker.history import FaultFired, Note
from labapp.errors import LabError
from labapp.faults import Action, Fault
from labapp.lab.dead_letters import OnRedis, read_letters, replay_all
from labapp.lab.disturb import surround
from labapp.lab.drain import drain
from labapp.lab.drawing import recorded
from labapp.lab.field import Field, Unfired
from labapp.lab.passing import let_wait, take_long
from labapp.lab.reading import read
from labapp.lab.run import Plan, Run
from labapp.lab.session import Session
from labapp.lab.strike import strike
from labapp.stack.control import Gone
from labapp.world.kinds import SERVED, Kind

MOST_SECONDS = 7 * 24 * 3600
"""How long a countdown may be."""


def conduct(session: Session, plan: Plan) -> Run:
    """Carry one experiment out.

    Args:
        session: the lease under which its workers run.
        plan: what to do.

    Returns:
        The run; its verdict is unknown where an observer failed or the fault did not fire.

    Raises:
        LabError: it could not begin (the module does not import, the worker exits at start, the
            fault and the worker do not fit, the stack is gone).
    """
    check_fit(plan)
    check_waiting(plan)
    check_expected(session, plan)
    field = Field(session, plan)
    try:
        clean(field)
        with recorded(field):
            begin(field)
            judge_or_doubt(field)
        return field.run
    finally:
        end(field)


def judge_or_doubt(field: Field) -> None:
    """Everything from the ready worker to the last reading; what fails on the way is a doubt."""
    try:
        strike_and_read(field)
    except Unfired as unfired:
        field.doubt(f"the fault did not fire: {unfired}")
        with contextlib.suppress(Gone):  # for whoever looks at the history; the verdict is clear
            read(field, drained=True)
    except LabError as error:  # a service is gone, a process did not stop, a worker did not start
        field.doubt(error.message.splitlines()[0])


def check_fit(plan: Plan) -> None:
    """Raises LabError where the worker cannot be struck as the fault says."""
    fault, worker = plan.fault, plan.worker
    if fault is None or not fault.action.on_processes:
        return
    one_child = fault.action in (Action.KILL_CHILD, Action.FREEZE_CHILD) or fault.action.duplicates
    children = (Action.KILL_CHILD, Action.FREEZE_CHILD, Action.QUIT_UNHEARD)
    if fault.action in children and worker.pool != "prefork":
        raise LabError(
            f"{fault.name} needs a pool with child processes, and {worker.pool} has none",
            hint="use kill_worker, or start the worker with pool='prefork'",
        )
    if fault.action is Action.SLOW_PARTNER and worker.pool == "solo":
        raise LabError(
            "slow_partner needs a worker that can be asked while it is at work, and solo cannot",
            hint="start the worker with pool='prefork' and concurrency=1",
        )
    at_a_time = 1 if worker.pool == "solo" else worker.concurrency
    whole_lots = fault.action is Action.SLOW_PARTNER and fault.in_flight % at_a_time == 0
    in_lots = whole_lots or fault.in_flight == at_a_time
    if not one_child and fault.moments and not in_lots:
        raise LabError(
            f"the worker runs {at_a_time} task{'s' if at_a_time > 1 else ''} at a time, "
            f"but the fault names {fault.in_flight} in flight",
            hint="name as many neighbouring charges as the worker's concurrency, "
            "so that who is in flight is no race",
        )


def check_waiting(plan: Plan) -> None:
    """Raises LabError where the plan's copies, countdown, or second app cannot be had."""
    if isinstance(plan.copies, bool) or not isinstance(plan.copies, int) or plan.copies < 1:
        raise LabError(
            f"a task is not sent {plan.copies!r} times", hint="copies=3 sends each task three times"
        )
    if not 0 <= plan.countdown <= MOST_SECONDS:
        raise LabError(
            f"a countdown of {plan.countdown:g} seconds is none",
            hint=f"countdown=90 * 60 waits 90 minutes; at most {MOST_SECONDS} (a week)",
        )
    if plan.countdown and plan.fault and plan.fault.action.sends_late:
        raise LabError("a worker that is killed as it fetches holds nothing that waits")
    if plan.beside is not None and (plan.fault is None or not plan.fault.moments):
        raise LabError(
            "a worker beside starts when the first one is at work",
            hint='name a fault with a moment, e.g. slow_partner(minutes=90, before=charge_of("…"))',
        )


def check_expected(session: Session, plan: Plan) -> None:
    """Raises LabError where the effects that are expected, the fault and the stack do not fit."""
    if plan.fault is not None and (others := plan.fault.kinds - set(plan.expect)):
        kind = min(others)
        raise LabError(
            f"the fault strikes at a {kind}, but the run does not expect one",
            hint=f'expect="{kind}", or a list of the kinds that each task owes',
        )
    if not set(plan.expect) & set(SERVED):
        raise LabError(
            "a run that expects bookings alone cannot be watched: no server sees them",
            hint='expect=["charge", "booking"]',
        )
    if Kind.MAIL in plan.expect and not session.stack.mail_url:
        raise LabError("this stack has no mailbox", hint="tell its address by $LAB_MAIL_URL")


def clean(field: Field) -> None:
    """Start clean, since the end of an earlier run may never have come; arm the world."""
    fault = field.plan.fault
    with field.timed("clean"):
        field.session.clean()
        field.boot = field.world.arm(fault.rules() if fault else []).boot
        surround(field)


def begin(field: Field) -> None:
    """Make the shop's tables, send the work, then start the worker."""
    fault = field.plan.fault
    with field.timed("publish"):
        field.make_tables()
        field.begun = time.time()
        at_once = not field.plan.countdown
        if at_once and not (fault and fault.action.sends_late):
            field.publish()
    with field.timed("start"):
        field.start_worker()


def strike_and_read(field: Field) -> None:
    """Everything from the ready worker to the last reading."""
    fault = field.plan.fault
    if field.plan.countdown:
        let_wait(field)
    if fault is not None and fault.action is Action.SLOW_PARTNER:
        take_long(field, fault)
    elif fault is not None and fault.action.on_processes:
        strike(field, fault)
    with field.timed("drain"):
        drained = drain(field)
    if fault is not None and not fault.action.on_processes:
        require_used(field, fault)
    if field.plan.then_replay:
        with field.timed("replay"):
            drained = replay_left(field) and drained
    with field.timed("read"):
        read(field, drained)


def replay_left(field: Field) -> bool:
    """Faults off; send again what was put aside; whether the queue has drained.

    What cannot be replayed is left where it is: the verdict says so."""
    field.run.letters = tuple(read_letters(field.broker))
    field.world.arm([])
    try:
        for _ in replay_all(OnRedis(field.broker), field.publisher().tasks):
            pass
    except Gone:
        raise
    except LabError as error:
        field.note(Note(field.now(), error.message))
    return drain(field)


def require_used(field: Field, fault: Fault) -> None:
    """A fault that the world carries out alone has fired if its rules were used.

    Raises:
        Unfired: one was not.
    """
    if not all(field.read_world().fired):
        raise Unfired(f"{fault} never came")
    field.note(FaultFired(field.now(), fault.name, fault.names))


def end(field: Field) -> None:
    """Leave nothing running; the state of the broker stays for the learner to look at."""
    with field.timed("end"):
        with contextlib.suppress(LabError):  # a node that is gone has taken its workers with it
            field.kill_all()
        with contextlib.suppress(LabError):  # after the workers: a dropped request fails its task
            field.world.arm([])
            field.world.drop()
    field.close()
