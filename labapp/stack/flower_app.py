"""The Celery app of Flower's process: it hears the task events of every session.

Each session of experiments has a Redis database of its own. Redis Pub/Sub knows no databases; only
kombu keeps them apart, with the names of its channels: `/3.celeryev/task.sent` is an event from
database 3 (`_get_publish_topic` in kombu/transport/redis.py). So Flower subscribes to the events
of all numbers with one pattern, and nothing has to pass events on.

What Flower *sends* (enable events, inspect, revoke) goes to database 0 alone, as before: running
experiments must not be disturbed by who looks at them.

Imported by Flower's process only (`celery -A labapp.stack.flower_app flower`); may depend on
`labapp.stack.flower`.
"""

from __future__ import annotations

from celery import Celery
from celery.events.event import EVENT_EXCHANGE_NAME
from kombu.transport import TRANSPORT_ALIASES, redis

from labapp.stack.flower import CLIENT_NAME


def everywhere(topic: str) -> str:
    """The same topic in every database if it is one of events, else as it is.

    >>> everywhere("/0.celeryev/*")
    '/[0-9]*.celeryev/*'
    >>> everywhere("/0.celery.pidbox")
    '/0.celery.pidbox'
    """
    _database, _, channel = topic.partition(".")
    is_of_events = channel.partition("/")[0] == EVENT_EXCHANGE_NAME
    return f"/[0-9]*.{channel}" if is_of_events else topic


class Channel(redis.Channel):
    """kombu's channel, but events are heard from every database."""

    def _get_subscribe_topics(self, queue: str) -> list[str]:
        own = super()._get_subscribe_topics(queue)  # type: ignore[no-untyped-call]
        return [everywhere(topic) for topic in own]


class Transport(redis.Transport):
    """kombu's Redis transport with that channel."""

    Channel = Channel


# By this name, and not with the setting `broker_transport`: Flower reads the scheme off its URL.
TRANSPORT_ALIASES["redis"] = f"{__name__}:Transport"

app = Celery("lab")
app.conf.broker_transport_options = {"client_name": CLIENT_NAME}
