"""Orders, and the letters of those that end badly."""

import os

from kombu import Exchange, Queue

PREFIX = os.environ.get("SHOP_PREFIX", "")  # the lab measures on names of its own

# Looking at letters without taking them counts as a delivery in a quorum
# queue, and RabbitMQ 4.0 drops a message after twenty.  A classic queue
# does not count.
dead_letters = Queue(
    f"{PREFIX}dead_letters",
    Exchange(f"{PREFIX}dlx", type="topic", durable=True),
    routing_key="#",
    durable=True,
    queue_arguments={"x-queue-type": "classic"},
)
orders = Queue(
    f"{PREFIX}orders",
    Exchange(f"{PREFIX}orders", type="topic", durable=True),
    routing_key="orders",
    durable=True,
    queue_arguments={
        # Only these count how often a message came back.
        "x-queue-type": "quorum",
        "x-delivery-limit": 1,
        "x-dead-letter-exchange": dead_letters.exchange.name,
    },
)
