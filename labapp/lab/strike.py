"""Carrying out a fault that a node has to act on, and what follows until the queue can drain.

One of the steps of an experiment; used by ``labapp.lab.conductor``.  A fault strikes when the
requests that it names are held open and main has come to rest; docs/experiments.md has the reasons.
"""

from __future__ import annotations

import time

from labapp.checker.history import Declared, FaultFired, History, Note
from labapp.faults import Action, Fault
from labapp.lab.broker import POLL, Contents
from labapp.lab.disturb import crash_broker, cut_off, duplicate, lose_broker, reconnect
from labapp.lab.drain import all_waiting, drain, drained
from labapp.lab.field import Field, Unfired
from labapp.lab.unheard import strike_unheard
from labapp.node.client import StartedWorker
from labapp.stack.control import Gone
from labapp.world.client import HeldRequest

TRIGGER_DEADLINE = 30.0
"""Seconds until the requests that a fault names must be in flight."""
SETTLE_DEADLINE = 3.0
"""Seconds that main may take to come to rest while its pool is held."""
STOP_DEADLINE = 30.0
"""Seconds that a worker may take to stop when asked to."""
SLICE = 0.25
"""Seconds of one wait for the trigger, between looks at whether it can still come."""
SHUTDOWNS = {"Initiating Soft": "Soft", "Cold shutdown": "Cold", "Warm shutdown": "Warm"}
"""What main prints when it stops (celery/apps/worker.py), and the word for it."""

Held = tuple[HeldRequest, ...]


def strike(field: Field, fault: Fault) -> None:
    """Let the fault strike, and bring the queue back to where it can drain.

    Raises:
        Unfired: the fault's moment never came.
        Gone: a service of the stack, or the worker, went away by itself.
    """
    if fault.action is Action.SLOW_LINK:
        return  # it is slow from the start on
    if fault.every_time:
        strike_every_time(field, fault)
    elif fault.action is Action.QUIT_UNHEARD:
        recover(field, strike_unheard(field, fault))
    elif fault.action.as_it_fetches:
        recover(field, strike_fetching(field, fault))
    else:
        strike_once(field, fault)


def strike_once(field: Field, fault: Fault) -> None:
    """Hold what the fault names, wait until main rests, act, recover."""
    worker = field.live[0]
    with field.timed("hold"):
        held = await_trigger(field, fault)
    with field.timed("settle"):
        if not fault.action.duplicates and fault.action is not Action.FREEZE_CHILD:
            settle(field, worker, held)
    accompany(field)
    before = field.look("when the fault struck")
    with field.timed("strike"):
        if fault.action.duplicates:
            duplicate(field, fault, held)
            return
        act(field, fault.action, worker, held)
        field.note(FaultFired(field.now(), fault.name, tuple(request.name for request in held)))
        field.world.arm([])
    if fault.action.takes_over:
        take_over(field, fault)
    elif fault.action.ends_worker or not field.live:
        recover(field, before)


# Before the strike


def accompany(field: Field) -> None:
    """Start what the plan wants to run beside the worker that is at work now."""
    if field.plan.survivor or field.plan.beside is not None:
        with field.timed("survivor"):
            field.start_worker(field.plan.beside)


def await_trigger(field: Field, fault: Fault) -> Held:
    """Wait until every request that the fault names is held.  Raises Unfired."""
    wanted = fault.in_flight
    if not wanted:
        return ()
    deadline = time.monotonic() + TRIGGER_DEADLINE
    while time.monotonic() < deadline:
        reading = field.same_world(field.world.wait(held=wanted, timeout=SLICE))
        if len(reading.held) >= wanted:
            return reading.held
        if not reading.open:
            if drained(field):
                break
            field.require_alive()
    raise Unfired(f"{fault} never came")


def settle(field: Field, worker: StartedWorker, held: Held) -> None:
    """Wait until main has come to rest: acknowledged what is done, fetched what it will.

    Without it, 1 of 12 runs went otherwise when main was slow."""
    if worker.report["pool"] == "solo":
        return  # main itself is in the task that is held: it does nothing else
    deadline = time.monotonic() + SETTLE_DEADLINE
    while time.monotonic() < deadline:
        if at_rest(field, worker, held):
            return
        time.sleep(POLL)
    field.note(Note(field.now(), "the worker did not come to rest"))


def at_rest(field: Field, worker: StartedWorker, held: Held) -> bool:
    """Whether the broker holds exactly what is sent and not acknowledged, and the worker has
    fetched all it will."""
    contents = field.broker.contents()
    fetched_enough = worker.prefetch and len(contents.unacked) >= worker.prefetch
    if contents.queued and worker.fetches_ahead and not fetched_enough:
        return False
    at_work = {request.key for request in held}
    answered = set(field.read_world().keys("answered"))
    done = {key for key in field.keys.values() if answered.issuperset(field.served(key))} - at_work
    acknowledged = done if worker.acks_late(field.plan.task) else done | at_work
    left = {task_id for task_id, key in field.keys.items() if key not in acknowledged}
    return contents.ids() == left


# The strike


def act(field: Field, action: Action, worker: StartedWorker, held: Held) -> None:
    """Do to the worker what the action says, then end the requests that it held."""
    match action:
        case Action.KILL_CHILD:
            field.struck(worker, "child killed", [held[0].key])
            kill_child(field, worker, held[0])
            field.world.drop(held)
        case Action.FREEZE_CHILD:
            field.struck(worker, "child frozen", [held[0].key])
            one_child(field, "freeze_child", worker, held[0])  # its request stays open
        case Action.KILL_WORKER:
            field.kill(worker)
            field.world.drop(held)
        case Action.TOGETHER:
            field.world.answer(held)
        case Action.PAUSE:
            pause(field, worker, held)
        case Action.CUT_OFF | Action.STALL:
            cut_off(field, action, worker, held)
        case Action.CRASH_BROKER:
            crash_broker(field, worker)
            field.world.drop(held)
        case Action.LOSE_BROKER:
            lose_broker(field, worker, held)
        case _:
            stop(field, action, worker, held)


def kill_child(field: Field, worker: StartedWorker, held: HeldRequest) -> None:
    """SIGKILL the pool process that made this request."""
    one_child(field, "kill_child", worker, held)


def one_child(field: Field, verb: str, worker: StartedWorker, held: HeldRequest) -> None:
    """Do this to the pool process that made the request."""
    field.nodes.verb(worker, verb, port=held.port, server_port=held.server_port)


def pause(field: Field, worker: StartedWorker, held: Held) -> None:
    """Stop the whole worker; done when no message can reach it any more."""
    field.struck(worker, "paused")
    field.broker.wait_unblocked(field.pause(worker))
    field.live.remove(worker)
    field.paused.append((worker, held))


def stop(field: Field, action: Action, worker: StartedWorker, held: Held) -> None:
    """Ask the worker to stop; what is in flight may finish where the shutdown waits for it.

    TERM_KILL is a grace period that is over before the tasks are: they never finish."""
    signal = "QUIT" if action is Action.QUIT else "TERM"
    if field.plan.drawing:
        field.meet(worker)
    field.struck(worker, signal)
    field.nodes.verb(worker, "signal", signal=signal)
    shutdown = await_shutdown(field, worker)
    if shutdown == "Warm" and action is Action.TERM_KILL:
        field.kill(worker)
    else:
        if shutdown != "Cold" and action is Action.TERM:
            field.world.answer(held)
        await_exit(field, worker)
    field.world.drop(held)


def await_shutdown(field: Field, worker: StartedWorker) -> str:
    """Wait until main has heard the signal; its word for the shutdown: Warm, Cold or Soft."""
    text = "Soft Shutdown" if worker.report["soft_shutdown"] else "shutdown (MainProcess)"
    field.nodes.verb(worker, "wait_log", text=text, timeout=STOP_DEADLINE)
    tail = field.log_of(worker, lines=200)
    return next(word for words, word in SHUTDOWNS.items() if words in tail)


def await_exit(field: Field, worker: StartedWorker) -> None:
    """Wait until the worker has ended.  Raises Gone where it does not."""
    status = field.nodes.verb(worker, "wait", timeout=STOP_DEADLINE)["exit_status"]
    if status is None:
        raise Gone(f"the worker did not stop within {STOP_DEADLINE:.0f} s")
    field.kill(worker, as_step="ended")


# After the strike


def recover(field: Field, before: Contents) -> None:
    """Let time pass; then a new worker, which sweeps at its start, or the survivor's sweep."""
    with field.timed("travel"):
        note_handed_back(field, before)
        field.look("after it")
        let_time_pass(field)
    if field.plan.supervised and not field.plan.survivor:
        with field.timed("restart"):
            field.start_worker()


def let_time_pass(field: Field) -> None:
    """As the plan says: not at all, until all is overdue, or for so many seconds."""
    passes = field.plan.time_passes
    if passes is True:
        field.travel()
    elif passes:
        field.pass_time(float(passes), field.visibility_timeout)


def note_handed_back(field: Field, before: Contents) -> None:
    """Note what the old worker held and put back into the queue itself when it stopped."""
    held = {message.task_id for message in before.unacked.values()}
    field.restored([m for m in field.broker.contents().queued if m.task_id in held])


def take_over(field: Field, fault: Fault) -> None:
    """The worker is out of reach: time passes, a second one drains the queue, the first is back."""
    with field.timed("travel"):
        field.travel()
    with field.timed("restart"):
        field.start_worker()
    with field.timed("take over"):
        drain(field)
    for worker, held in list(field.paused):
        if fault.action is Action.PAUSE:
            field.struck(worker, "woken")
            field.nodes.verb(worker, "resume")
            field.live.append(worker)
            field.world.answer(held)
        else:
            reconnect(field, worker, held)
    field.paused.clear()


# A poison task


def strike_every_time(field: Field, fault: Fault) -> None:
    """The child dies at each attempt, until the queue drains or the run gives up."""
    for name in (name for key in fault.keys for name in field.names(key)):
        field.note(Declared(field.now(), name))  # nor does anything come after it
    struck = 0
    with field.timed("strike"):
        while held := await_attempt(field, fault, struck):
            if struck == fault.give_up_after:
                return  # the last attempt stays open: it is still running when the run is read
            field.struck(field.live[0], "child killed", [held[0].key])
            kill_child(field, field.live[0], held[0])
            field.note(FaultFired(field.now(), fault.name, (held[0].name,)))
            field.world.drop(held)
            struck += 1


def await_attempt(field: Field, fault: Fault, struck: int) -> Held:
    """The next attempt that is held; empty where none will come.  Raises Unfired if none came."""
    deadline = time.monotonic() + (field.plan.deadline if struck else TRIGGER_DEADLINE)
    while time.monotonic() < deadline:
        reading = field.same_world(field.world.wait(held=1, timeout=SLICE))
        if reading.held:
            return reading.held
        if all_waiting(field, field.broker.contents()) or (not reading.open and drained(field)):
            break
    if not struck:
        raise Unfired(f"{fault} never came")
    return ()


# Between two commands


def strike_fetching(field: Field, fault: Fault) -> Contents:
    """Strike the worker between BRPOP, which takes a message off the queue, and the write to
    ``unacked``: two steps in kombu's Redis transport, with nothing in between to hold it.

    Main is stopped while its BRPOP waits; the broker hands the first message to its socket."""
    worker = field.live[0]
    with field.timed("strike"):
        while not hand_over(field, worker):
            field.nodes.verb(worker, "resume")
        before = field.look("when the fault struck")
        if fault.action is Action.TERM_FETCHING:
            term_stopped(field, worker)
        else:
            on_the_way = [key for task_id, key in field.keys.items() if task_id not in before.ids()]
            field.kill(worker, "killed as it fetched", on_the_way)
        field.note(FaultFired(field.now(), fault.name, ()))
    return before


def term_stopped(field: Field, worker: StartedWorker) -> None:
    """SIGTERM to a main that is stopped: the signal is the first that it knows of when it goes on,
    and the reply to its BRPOP is there already."""
    field.struck(worker, "TERM")
    field.nodes.verb(worker, "signal", signal="TERM")
    field.nodes.verb(worker, "resume")
    await_exit(field, worker)


def hand_over(field: Field, worker: StartedWorker) -> bool:
    """Stop main in its BRPOP and send the work; whether the first message left the queue.

    A BRPOP waits for one second.  Where it ended before the message came, nothing counts as sent:
    the queue is emptied, for another try."""
    if not field.broker.blocked(field.pause(worker, main_only=True)):
        return False
    sent_before = list(field.run.history)
    field.publish()
    contents = field.broker.contents()
    if len(contents.queued) < len(field.keys):
        return True
    field.broker.forget(contents.queued)
    field.keys.clear()
    field.run.history = History(sent_before)
    return False
