"""The stack for those who develop the lab: what they change in labapp is live within seconds."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from compose_bench import OURS, PATIENCE, RUNNING, Compose, copy_of_the_project, wait_for_health

from labapp.stack.testing import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE, OVERRIDE = "docker-compose.override.example.yml", "docker-compose.override.yml"
ASK = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"
HEALTH = {"world": "http://127.0.0.1:7001/health", "worker": "http://127.0.0.1:7000/health"}
ITS_OWN = ("entrypoint", "environment")
"""What the override may change of a service."""


@pytest.fixture(scope="module", name="live")
def _live(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """A stack whose labapp is the project's own."""
    made = Compose(copy_of_the_project(tmp_path_factory.mktemp("live")), "lab-live")
    shutil.copy(made.folder / EXAMPLE, made.folder / OVERRIDE)
    try:
        made.start()
        yield made
    finally:
        made.close()


def replace_in(compose: Compose, file: str, old: str, new: str) -> None:
    """Edit a file of the project."""
    path = compose.folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def health(compose: Compose, service: str) -> dict[str, Any]:
    """What a service answers; nothing while it is away."""
    done = compose("exec", "-T", service, "python", "-c", ASK, HEALTH[service])
    answer: dict[str, Any] = json.loads(done.stdout or "{}")
    return answer


def wait_for_health_to_be(compose: Compose, service: str, answer: dict[str, Any]) -> None:
    """The service runs, and answers so: a few seconds on an idle machine."""
    try:
        wait_until(lambda: health(compose, service) == answer, f"{service}: {answer}", PATIENCE)
    except AssertionError:
        print(compose.must("logs", "--tail", "40", service))
        raise


def wait_for_news(compose: Compose, service: str, text: str) -> None:
    """The service has said so."""
    wait_until(lambda: text in compose.must("logs", service), f"{service}: {text}", PATIENCE)


def services(compose: Compose, *files: str) -> dict[str, dict[str, Any]]:
    """The services as Compose understands them, with the override unless files are named."""
    told = json.loads(compose.must(*files, "config", "--format", "json"))
    found: dict[str, dict[str, Any]] = told["services"]
    return found


def test_the_security_settings_are_those_of_the_stack(live: Compose) -> None:
    alone, both = services(live, "-f", "docker-compose.yml"), services(live)
    assert set(both["world"]) >= {"read_only", "cap_drop", "security_opt", *ITS_OWN}
    for service in (*alone.values(), *both.values()):
        for key in ITS_OWN:
            service.pop(key, None)
    assert both == alone


def test_every_service_runs_labapp_from_the_project(live: Compose) -> None:
    where = "import labapp.stack.home as home; print(home.PACKAGE_ROOT)"
    for service in OURS[1:]:
        assert live.inside("python", "-c", where, service=service) == "/lab\n"
    for service in RUNNING:
        wait_for_health(live, service)


def test_a_change_is_live_without_a_build(live: Compose) -> None:
    containers = [live.containers(service)[0]["Id"] for service in RUNNING]
    assert [health(live, service) for service in HEALTH] == [{"ok": True}] * 2
    replace_in(
        live, "labapp/stack/control_server.py", '{"ok": True}', '{"ok": True, "newer": True}'
    )
    for service in HEALTH:
        wait_for_health_to_be(live, service, {"ok": True, "newer": True})
    assert [live.containers(service)[0]["Id"] for service in RUNNING] == containers


def test_a_change_of_the_command_line_is_live_at_once(live: Compose) -> None:
    replace_in(live, "labapp/stack/report.py", "lab: broker is", "lab: our broker is")
    assert "lab: our broker is Redis 8" in live.inside("lab", "status")


def test_a_mistake_is_told_and_its_repair_is_live(live: Compose) -> None:
    before = health(live, "world")
    replace_in(live, "labapp/world/server.py", "from __future__", "from the_future")
    wait_for_news(live, "world", "world ended with exit status 1")
    assert "the_future" in live.must("logs", "world")
    replace_in(live, "labapp/world/server.py", "from the_future", "from __future__")
    wait_for_health_to_be(live, "world", before)


def test_a_changed_lock_is_told(live: Compose) -> None:
    lock = live.folder / "requirements.lock"
    locked = lock.read_text()
    lock.write_text(f"{locked}# newer\n")
    try:
        done = live("run", "--rm", "--no-TTY", "init")
        assert done.returncode == 2
        assert "lab: this image was built from another requirements.lock" in done.stderr
        replace_in(live, "labapp/errors.py", "class LabError", "# newer\nclass LabError")
        wait_for_news(live, "worker", "another requirements.lock")
    finally:
        lock.write_text(locked)


def test_git_ignores_the_copy_and_not_the_example(live: Compose) -> None:
    ignored = (live.folder / ".gitignore").read_text().splitlines()
    assert OVERRIDE in ignored
    assert EXAMPLE not in ignored
