"""What the servers of compose's profiles read: PostgreSQL, RabbitMQ, Prometheus, redis_exporter.

Each has a folder of its own in the folder for what is kept (/state); docker-compose.yml mounts it
where the server looks.  Secrets stand in these files, never in a container's description.

Used by ``labapp.stack.container``; may depend on the lower rooms of ``labapp.stack``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from labapp.errors import LabError
from labapp.stack.home import make_private, write_private

USER = "lab"
"""Who PostgreSQL and RabbitMQ know."""
POSTGRES_HOST, POSTGRES_PORT = "postgres", 5432
RABBITMQ_HOST, RABBITMQ_PORT = "rabbitmq", 5672
POSTGRES, RABBITMQ, COOKIE = "LAB_POSTGRES_PASSWORD", "LAB_RABBITMQ_PASSWORD", "LAB_RABBITMQ_COOKIE"
SECRETS = (POSTGRES, RABBITMQ, COOKIE)
KEPT = {
    POSTGRES: ("postgres/password", r"(\S+)"),
    RABBITMQ: ("rabbitmq/rabbitmq.conf", r"default_pass = (\S+)"),
    COOKIE: ("rabbitmq/.erlang.cookie", r"(\S+)"),
}
"""Secret → the file here that also has it, and how it reads there."""
WAL_BYTES = 64_000_000
"""Where RabbitMQ begins a new write-ahead log; until then all of it is also in memory, and the
512 MB that it has by default are for larger machines (rabbitmq.com/docs/quorum-queues)."""
SCRAPE_SECONDS = 5


def kept(state: Path) -> dict[str, str]:
    """The secrets that these servers have already: their data is bound to them, whatever became of
    secrets.env.  PostgreSQL and RabbitMQ read a password at their first start only."""
    found = {name: _read(state / file, shape) for name, (file, shape) in KEPT.items()}
    return {name: value for name, value in found.items() if value}


def _read(path: Path, shape: str) -> str:
    found = re.search(shape, path.read_text(), re.MULTILINE) if path.is_file() else None
    return found[1] if found else ""


def configure(state: Path, found: Mapping[str, str], redis: str, lab: str) -> None:
    """Write what the servers read; what lies there is replaced.

    Args:
        state: the folder for what is kept.
        found: the secrets, with those of the lab itself.
        redis: HOST:PORT of the broker.
        lab: HOST:PORT of JupyterLab, behind which Flower is.

    Raises:
        LabError: a folder is where a file should be.
    """
    texts = {
        "postgres/password": found[POSTGRES] + "\n",
        "postgres/passwd": passwd(os.getuid(), os.getgid()),
        "rabbitmq/rabbitmq.conf": rabbitmq(found[RABBITMQ]),
        "rabbitmq/.erlang.cookie": found[COOKIE],
        "prometheus/prometheus.yml": prometheus(lab),
        "prometheus/token": found["LAB_JUPYTER_TOKEN"],
        "redis-exporter/passwords.json": json.dumps(
            {f"redis://{redis}": found["LAB_BROKER_PASSWORD"]}
        ),
    }
    for name, text in texts.items():
        _write(state / name, text)


def _write(path: Path, text: str) -> None:
    """Docker makes a folder of a file that is missing when it mounts it."""
    if path.is_dir():
        name = Path("compose/state", *path.parts[-2:])
        raise LabError(f"{name} is a folder", hint=f"`sudo rmdir {name}`, then again")
    make_private(path.parent)
    write_private(path, text)


def database_url(password: str) -> str:
    """SQLAlchemy's address of the PostgreSQL of compose, for psycopg 3; its first database has the
    user's name."""
    return f"postgresql+psycopg://{USER}:{password}@{POSTGRES_HOST}:{POSTGRES_PORT}/{USER}"


def rabbitmq_url(password: str) -> str:
    """The address of the RabbitMQ of compose, and of its virtual host ``/``."""
    return f"amqp://{USER}:{password}@{RABBITMQ_HOST}:{RABBITMQ_PORT}//"


def passwd(uid: int, gid: int) -> str:
    """/etc/passwd for PostgreSQL: initdb refuses a user that has no name."""
    return f"{USER}:x:{uid}:{gid}::/tmp:/sbin/nologin\n"


def rabbitmq(password: str) -> str:
    """rabbitmq.conf.  A queue that is declared durable and without a type is a quorum queue."""
    lines = [
        f"default_user = {USER}",
        f"default_pass = {password}",
        "default_queue_type = quorum",
        f"raft.wal_max_size_bytes = {WAL_BYTES}",
        "log.console = true",
        "log.console.level = warning",
        "log.file = false",
    ]
    return "\n".join(lines) + "\n"


def prometheus(lab: str) -> str:
    """prometheus.yml.  Flower is asked through JupyterLab, with its token, as people ask it; a
    wrong token would be answered by a redirection to a page, which is no metric."""
    return f"""\
global:
  scrape_interval: {SCRAPE_SECONDS}s
  scrape_timeout: {SCRAPE_SECONDS - 1}s
scrape_configs:
  - job_name: redis
    static_configs: [{{targets: ["redis-exporter:9121"]}}]
  - job_name: flower
    metrics_path: /flower/metrics
    authorization: {{type: token, credentials_file: token}}
    follow_redirects: false
    static_configs: [{{targets: ["{lab}"]}}]
"""
