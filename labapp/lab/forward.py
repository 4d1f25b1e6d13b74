"""Passes the task events of a run's own broker on to the stack's broker, where Flower hears them.

Only a run that crashes its broker has one of its own; Flower hears every database of the stack's
(`labapp.stack.flower_app`). No verdict looks at events. Used by ``labapp.lab.field``; may depend on
``labapp.lab.broker``.
"""

from __future__ import annotations

import contextlib
import threading

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from labapp.lab.broker import unreachable

OWN, PATTERN = b"/0.", "/0.celeryev/*"
"""What kombu's channels of database 0 begin with; those of events (kombu/transport/redis.py)."""
SLICE = 0.05
"""Seconds of silence after which the thread looks whether it is to stop."""
ANSWER_SECONDS = 10.0


class EventForwarder:
    """A thread that passes events on, from now until ``close``; a broker's crash does not end it.

    Args:
        source: address of the run's own broker; its database 0 is listened to.
        target: address of the stack's broker.
        database: the session's, under whose name the events are published there.

    Raises:
        Gone: the source does not answer.
    """

    def __init__(self, source: str, target: str, database: int) -> None:
        at_once = Retry(NoBackoff(), 0)  # what a broker tells after its crash must not be missed
        self._source = redis.Redis.from_url(source, retry=at_once)
        self._target = redis.Redis.from_url(target, socket_timeout=ANSWER_SECONDS)
        self._prefix = f"/{database}.".encode()
        self._listener = self._source.pubsub()  # type: ignore[no-untyped-call]
        self._stop = threading.Event()
        try:
            self._listener.psubscribe(PATTERN)
            self._listener.get_message(timeout=ANSWER_SECONDS)  # from here on nothing is missed
        except redis.RedisError as error:
            raise unreachable(error) from error
        self._thread = threading.Thread(target=self._run, name="lab-events", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while self._pass_on() or not self._stop.is_set():
            pass

    def _pass_on(self) -> bool:
        """Pass one event on, if one comes soon; False where none came."""
        try:
            message = self._listener.get_message(timeout=SLICE)
        except redis.RedisError:  # the broker is down
            self._stop.wait(SLICE)
            return False
        if message is None or message["type"] != "pmessage":
            return False
        channel = self._prefix + message["channel"].removeprefix(OWN)
        with contextlib.suppress(redis.RedisError):  # whoever needs the stack's broker will say so
            self._target.publish(channel, message["data"])
        return True

    def close(self) -> None:
        """Pass on what has come, and end."""
        self._stop.set()
        self._thread.join()
        self._listener.close()
        self._source.close()
        self._target.close()
