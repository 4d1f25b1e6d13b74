"""Dead letters by RabbitMQ itself: what ends badly, in whatever way, leaves one letter."""

import os
import signal
import time

from celery import Celery
from celery.exceptions import Reject
from celery.signals import worker_init
from on_rabbitmq_queues import dead_letters, orders

app = Celery("on_rabbitmq", broker=os.environ.get("LAB_RABBITMQ_URL", "amqp://localhost"))
app.conf.update(
    task_queues=[orders],
    task_default_queue=orders.name,
    task_default_exchange=orders.exchange.name,
    task_default_routing_key=orders.routing_key,
    broker_transport_options={"confirm_publish": True},
    task_acks_late=True,
    task_acks_on_failure=False,  # what has failed is rejected, and so dead-lettered
    task_acks_on_timeout=False,  # a hard limit gives the message back; the delivery limit counts
    task_reject_on_worker_lost=True,  # and so does a lost process
    worker_prefetch_multiplier=1,
)


@worker_init.connect
def declare(**_) -> None:
    """Without exchange, queue and binding, no letter is kept."""
    with app.connection_for_write() as connection:
        dead_letters(connection.default_channel).declare()


@app.task(autoretry_for=(ConnectionError,), max_retries=1, default_retry_delay=0)
def gives_up(order: str) -> None:
    """Fail each time, until the retries are used up."""
    raise ConnectionError(f"{order}: the partner does not answer")


@app.task(time_limit=1)
def hangs(order: str) -> None:
    """Run into the hard time limit."""
    time.sleep(3600)


@app.task
def dies(order: str) -> None:
    """Lose the process that runs it."""
    os.kill(os.getpid(), signal.SIGKILL)


@app.task
def refuses(order: str) -> None:
    """Say that it cannot be done."""
    raise Reject(f"{order}: no such customer", requeue=False)


@app.task
def succeeds(order: str) -> str:
    """End well: no letter."""
    return order
