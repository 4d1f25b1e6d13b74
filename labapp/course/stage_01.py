"""Stage 01, first queue: what does ``delay()`` put into Redis?

The learner's API must answer 202 for what it has sent, tell an unknown id from a queued, a running,
a done, a failed, an expired and a lost one, and must send no order twice when the answer to a
publish is lost on the way back.
"""

from __future__ import annotations

from labapp.course.interview import Question, charged_once, heard, interview, only
from labapp.course.stage import Diagnosis, Outcome, Outcomes, Stage
from labapp.faults import answer, charge_of
from labapp.lab.front import LOST_AFTER, Front
from labapp.lab.relay import Way
from labapp.lab.reply import NO_ANSWER, Reply

CALM = "no fault"
UNKNOWN = "unknown id"
FAILED = "failed charge"
EXPIRED = "expired result"
RUNNING = "running"
KILLED = "worker killed"
QUEUED = "queued"
RESTARTED = "API restarted"
REPLY_LOST = "reply lost"
AWAY = "broker away"

LESSON = "notebooks/01_first_queue.ipynb"
BRIEF = "exercises/01_first_queue/README.md"


def calm(front: Front) -> Outcome:
    """An order is taken while no worker runs; then it is charged, and the API says so."""
    taken = front.post("order-1")
    front.start_worker()
    front.work_off()
    done = front.get("order-1")
    said = heard(("202", receipt(taken)), ("done", result(done)))
    return Outcome(charged_once(front, "order-1"), heard=said)


def receipt(reply: Reply) -> str:
    """What a first order is answered with."""
    there = reply.location or reply.code != 202
    return code(reply) if there else f"{code(reply)} without a Location"


def result(reply: Reply) -> str:
    """The status word, and whether the result is with it."""
    told = reply.body.get("result") if isinstance(reply.body, dict) else None
    there = told == "charged" or reply.word != "done"
    return reply.word if there else f"{reply.word} without the result"


def code(reply: Reply) -> str:
    """The status code in words."""
    return str(reply.code) if reply.code else NO_ANSWER


def unknown(front: Front) -> Outcome:
    """An id that was never handed out."""
    return only(("unknown", front.get_unknown()))


def failed(front: Front) -> Outcome:
    """The partner refuses a charge; the task fails."""
    front.arm(answer(500, before=charge_of("order-2")))
    front.post("order-2")
    front.work_off()
    front.arm(None)
    said = heard(("failed", front.get("order-2")))
    return Outcome(charged_once(front, "order-2", given_up=said[0].right), heard=said)


def expired(front: Front) -> Outcome:
    """The order was charged long ago, and its result has expired."""
    front.expire_results()
    return only(("expired", front.get("order-1")))


def running(front: Front) -> Outcome:
    """The partner holds the charge: the task runs, and what is late is not lost."""
    front.hold("order-3")
    front.post("order-3")
    if not front.await_held("order-3"):
        return only(("running", "never charged"))
    still_queued = " or queued" if front.in_broker("order-3") else ""
    return only((f"running{still_queued}", front.get("order-3")))


def killed(front: Front) -> Outcome:
    """The worker dies before the charge happens, and the message is gone with it."""
    front.kill_workers()
    if front.in_broker("order-3"):  # the shop acknowledges late: the next worker will get it
        front.field.travel()
        return only(("queued", front.get("order-3")))
    said = heard(("lost", front.get_until("order-3", "lost")))
    return Outcome(charged_once(front, "order-3", given_up=said[0].right), heard=said)


def queued(front: Front) -> Outcome:
    """No worker runs, for longer than it takes to call an order lost."""
    front.post("order-4")
    first = front.get("order-4")
    later = front.get_until("order-4", "lost", LOST_AFTER * 1.5)
    return only(("queued", first), ("queued", later))


def restarted(front: Front) -> Outcome:
    """The API is killed and started again, with the order still in its queue."""
    front.restart_api()
    return only(("queued", front.get("order-4")))


def reply_lost(front: Front) -> Outcome:
    """The publish reaches the broker, its answer does not come back; the client tries again."""
    with front.relay.being(Way.LOSSY):
        first = code(front.post("order-5"))
        front.relay.wait_swallowed()
        copies = len(front.messages("order-5"))
    second = code(front.post("order-5"))
    front.start_worker()
    front.work_off()
    said = heard(("202 or 503", first), ("202", second))
    return Outcome(charged_once(front, "order-5"), heard=said, copies=copies)


def broker_away(front: Front) -> Outcome:
    """Nothing reaches the broker; a client that is told so tries again when it is back."""
    with front.relay.being(Way.CLOSED):
        first = code(front.post("order-6"))
    if first == "202":  # a promise: true only if the API has kept the order, and sends it now
        kept = front.await_charge("order-6")
        said = heard(("202" if kept else "503", first))
    else:
        said = heard(("503", first), ("202", code(front.post("order-6"))))
        front.work_off()
    return Outcome(charged_once(front, "order-6"), heard=said)


QUESTIONS = (
    Question(CALM, calm),
    Question(UNKNOWN, unknown, "an id that was never handed out"),
    Question(FAILED, failed, "the partner refuses the charge"),
    Question(EXPIRED, expired, "the result is older than it is kept"),
    Question(RUNNING, running, "the charge takes long"),
    Question(KILLED, killed, "the worker dies before the charge"),
    Question(QUEUED, queued, "no worker runs"),
    Question(RESTARTED, restarted, "the API is started again"),
    Question(REPLY_LOST, reply_lost, "the broker's answer to a publish is lost"),
    Question(AWAY, broker_away, "nothing reaches the broker"),
)


def last(seen: Outcomes, question: str) -> str:
    """The last answer to a question; empty where it was not asked."""
    return (seen.of(question).said or ("",))[-1]


def first(seen: Outcomes, question: str) -> str:
    """The first answer to a question; empty where it was not asked."""
    return (seen.of(question).said or ("",))[0]


def wrong(seen: Outcomes, question: str) -> bool:
    """Whether an answer to a question was not true."""
    return not all(one.right for one in seen.of(question).heard)


def crashed(seen: Outcomes) -> bool:
    """Whether a publish that did not go well was answered with a server error."""
    return any(first(seen, question) == "500" for question in (REPLY_LOST, AWAY))


DIAGNOSES = (
    # Nothing has struck yet.
    Diagnosis(
        "waits-for-the-work",
        lambda seen: first(seen, CALM) == NO_ANSWER,
        "No worker was running, and the API did not answer the order. It waits for what the task "
        "will give back. 202 means: taken, and the work comes later.",
        f"{LESSON}, 'Answer 202, and say where to ask'",
    ),
    Diagnosis(
        "takes-no-orders",
        lambda seen: not first(seen, CALM).startswith("202"),
        "The API did not answer 202 to an order, and nothing was wrong.",
        f"the contract in {BRIEF}: the path, the body, the status code",
    ),
    Diagnosis(
        "no-location",
        lambda seen: first(seen, CALM) == "202 without a Location",
        "The API took the order, and did not say where to ask for it: there is no Location header.",
        f"the contract in {BRIEF}",
    ),
    Diagnosis(
        "does-not-say-done",
        lambda seen: wrong(seen, CALM),
        "The order was charged, its task had ended and every worker was idle, and the API did not "
        "say so.",
        f"the contract in {BRIEF}: the status word, and the result beside it",
    ),
    # What PENDING does not say.
    Diagnosis(
        "pending-is-queued",
        lambda seen: wrong(seen, UNKNOWN),
        "The API was asked for an id that it had never handed out, and did not answer 404. Celery "
        "says PENDING of every id without a result: of one that nobody knows, too.",
        f"{LESSON}, 'What PENDING means'",
    ),
    Diagnosis(
        "failure-breaks-the-answer",
        lambda seen: last(seen, FAILED) == "500",
        "The task failed, and the API with it. The result of a failed task is an exception, and an "
        "exception is no JSON.",
        "what your API does with the result before it knows the state",
    ),
    Diagnosis(
        "failure-not-told",
        lambda seen: wrong(seen, FAILED),
        "The partner refused the charge, the task failed, and the API does not say so.",
        f"{LESSON}, 'What PENDING means': the states that have a result",
    ),
    Diagnosis(
        "queued-is-lost",
        lambda seen: wrong(seen, QUEUED),
        "An order waited in the queue, because no worker was running, and the API did not call it "
        "queued all the while. A long queue is no loss: the message is there.",
        f"{LESSON}, 'What the broker knows'",
    ),
    Diagnosis(
        "forgets-with-its-process",
        lambda seen: wrong(seen, RESTARTED),
        "After the API was started again it did not know an order that it had taken. What it "
        "remembers dies with its process, and with two processes each knows half.",
        "where your API keeps the ids that it has handed out",
    ),
    Diagnosis(
        "expired-is-forgotten",
        lambda seen: wrong(seen, EXPIRED),
        "The order had been charged, and its result had expired. The API did not answer 410. A "
        "result is kept for a day; something of yours must remember for longer that it was there.",
        f"{LESSON}, 'What the result says, and for how long'",
    ),
    Diagnosis(
        "running-is-lost",
        lambda seen: wrong(seen, RUNNING),
        "The partner was slow with a charge, and the API did not call the order running. With "
        "early acknowledgement a running task is in no queue and has no result: that alone is no "
        "loss.",
        f"{LESSON}, 'What the broker knows'",
    ),
    Diagnosis(
        "waits-for-ever",
        lambda seen: wrong(seen, KILLED),
        "The worker died with the order, and seconds later the API had still not called it lost. "
        "Nothing will ever happen to it: it is in no queue, and no result will come.",
        f"{LESSON}, 'What the broker knows', and LOST_AFTER in {BRIEF}",
    ),
    # A publish error is not an error.
    Diagnosis(
        "publishes-without-end",
        lambda seen: first(seen, REPLY_LOST) == NO_ANSWER,
        "The broker's answer to the publish did not come, and the API waited for it without end. "
        "By default nothing limits that wait.",
        f"{LESSON}, 'An error that is none'",
    ),
    Diagnosis(
        "publishes-again-by-itself",
        lambda seen: seen.of(REPLY_LOST).copies > 1,
        "One request left more than one message. Celery sends again after an error of the "
        "connection, and the first message had arrived: only its answer was lost.",
        f"{LESSON}, 'An error that is none'",
    ),
    Diagnosis(
        "error-means-not-sent",
        lambda seen: bool(seen.of(REPLY_LOST).verdict.duplicated),
        "The publish reported an error, the client tried again, and the customer paid twice. The "
        "error meant that the answer was lost; the message was in the queue.",
        f"{LESSON}, 'An error that is none'",
    ),
    Diagnosis(
        "promises-what-it-did-not-send",
        lambda seen: first(seen, AWAY) == "202" and not seen.of(AWAY).heard[0].right,
        "The broker was away, the API answered 202, and the order was never charged. The client "
        "had no reason to try again.",
        "what your API answers when the publish has raised an error",
    ),
    Diagnosis(
        "never-sends-again",
        lambda seen: bool(seen.of(AWAY).verdict.lost),
        "The broker was away, and the client was told so. When it tried again the API took the "
        "order for sent, and it was never charged.",
        "what your API has written down before the publish, and what that proves",
    ),
    Diagnosis(
        "publish-error-is-a-crash",
        crashed,
        "A publish did not go well, and the API answered 500. That says that the API is broken, "
        "not whether to try again; 503 says it.",
        f"{LESSON}, 'An error that is none'",
    ),
)

FIRST_QUEUE = Stage(
    "01",
    "first_queue",
    trials=QUESTIONS,
    diagnoses=DIAGNOSES,
    module="api",
    contract=frozenset({"charge", "app", "order"}),
    headings=("question", "right"),
    columns=("truth", "said", "lost", "duplicated"),
    examine=interview,
)
