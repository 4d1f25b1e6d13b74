"""Where the mailbox is: in stack.json, in the environment, and as a task is told."""

from __future__ import annotations

from urllib.parse import urlsplit

from labapp.stack.state import Stack, from_environment, from_json, mail_login

COMPOSE = {
    "LAB_BROKER_URL": "redis://redis:6379",
    "LAB_WORLD_URL": "http://world:8000",
    "LAB_NODE_URLS": "http://node:8001",
    "LAB_CONTROL_TOKEN": "token",
}


def test_a_task_logs_in_under_the_name_of_its_scope() -> None:
    address = urlsplit(mail_login("smtp://127.0.0.1:2525", "run-12"))
    assert (address.username, address.hostname, address.port) == ("run-12", "127.0.0.1", 2525)
    assert address.password


def test_in_compose_the_mailbox_is_told_or_there_is_none() -> None:
    with_it = from_environment(COMPOSE | {"LAB_MAIL_URL": "smtp://world:2525"})
    without = from_environment(COMPOSE)
    assert with_it is not None
    assert without is not None
    assert with_it.live_environment()["MAIL_URL"].endswith("@world:2525")
    assert without.live_environment()["MAIL_URL"] == ""


def test_a_running_stack_knows_its_mailbox(stack: Stack) -> None:
    assert stack.mail_url.startswith("smtp://127.0.0.1:")
    assert from_json(stack.to_json()).mail_url == stack.mail_url
