"""An article's dead-letter exchange: named in the queue's arguments, declared by nobody."""

import os

from celery import Celery
from celery.exceptions import Reject
from celery.signals import worker_init
from kombu import Exchange, Queue

PREFIX = os.environ.get("SHOP_PREFIX", "")  # the lab measures on names of its own
DECLARED = os.environ.get("DECLARE_LETTERS", "")

orders = Queue(
    f"{PREFIX}orders",
    Exchange(f"{PREFIX}orders", type="topic", durable=True),
    routing_key="orders",
    durable=True,
    queue_arguments={"x-queue-type": "quorum", "x-dead-letter-exchange": f"{PREFIX}dlx"},
)
app = Celery("as_given", broker=os.environ.get("LAB_RABBITMQ_URL", "amqp://localhost"))
app.conf.update(
    task_queues=[orders],
    task_default_queue=orders.name,
    task_default_exchange=orders.exchange.name,
    task_default_routing_key=orders.routing_key,
    task_max_retries=3,  # the article's; no setting of Celery's
)


@worker_init.connect
def declare(**_) -> None:
    """What the article leaves out, where it is asked for."""
    if DECLARED:
        dlx = Exchange(f"{PREFIX}dlx", type="topic", durable=True)
        dead_letters = Queue(
            f"{PREFIX}dead_letters", dlx, "#", queue_arguments={"x-queue-type": "classic"}
        )
        with app.connection_for_write() as connection:
            dead_letters(connection.default_channel).declare()


@app.task(autoretry_for=(ConnectionError,), default_retry_delay=0)
def as_given(order: str) -> None:
    """Use up its retries; three, because that is Celery's own number."""
    raise ConnectionError(f"{order}: the partner does not answer")


@app.task(acks_late=True)
def late(order: str) -> None:
    """Fail with late acknowledgement."""
    raise ValueError(f"{order}: no such customer")


@app.task(acks_late=True, acks_on_failure=False)
def not_acknowledged(order: str) -> None:
    """Fail, and not be acknowledged for it."""
    raise ValueError(f"{order}: no such customer")


@app.task(acks_late=True)
def rejected(order: str) -> None:
    """Reject its message itself."""
    raise Reject(f"{order}: no such customer", requeue=False)
