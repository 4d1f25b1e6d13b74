"""A message is lost between BRPOP and the write to `unacked` when its worker is killed.

    python kombu_lost_between.py

Needs Python, celery[redis], and a redis-server (the one that $REDIS_SERVER names, or the one on the
path), which it starts on a free port of 127.0.0.1 with its data in a temporary folder.  Exit
status: 0 the bug showed, 3 it did not, 1 something else went wrong.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import redis
from celery import Celery
from redis.backoff import NoBackoff
from redis.retry import Retry

SHOWED, FAILED, DID_NOT = 0, 1, 3
DEADLINE = 60.0  # seconds that any one step may take
POLL = 0.01
WORKER = ("--pool", "solo", "--loglevel", "INFO")
TASKS = """
import os
from celery import Celery

app = Celery("report", broker=os.environ["BROKER"])
app.conf.task_acks_late = True
app.conf.broker_transport_options = {
    "visibility_timeout": 1,
    "unacked_restore_interval": 0.2,
    "unacked_restore_throttle": 1,
}


@app.task
def work(path):
    open(path, "w").close()
"""
NUMBERS = range(1, 4)


class Case:
    """One Redis and one worker.

    Args:
        server: path of redis-server.
        folder: for everything that is written.
    """

    def __init__(self, server: str, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.release = folder / "release"
        self.log = folder / "worker.log"
        self.redis: subprocess.Popen[bytes] | None = None
        self.worker: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Kill the worker when a message has left the queue and is not noted; start another one."""
        self.start_redis()
        self.start_worker()
        self.kill_between()
        left = self.whereabouts()
        print("Three tasks (late ack) are sent while the worker waits in BRPOP; kill -9 follows.")
        print(f"left in Redis: {left['celery']} in the queue, {left['unacked']} in unacked")
        print("expected: a new worker runs all three, once the visibility timeout is over")
        self.log.unlink()
        self.start_worker()
        return self.tell()

    def kill_between(self) -> None:
        """Stop main in its BRPOP, publish, and kill: Redis has handed the first message over."""
        wait_until(self.handed_over, "Redis to hand a message to a main that is stopped")
        assert self.worker is not None
        self.worker.kill()
        self.worker.wait()

    def handed_over(self) -> bool:
        """Whether Redis has given a message to the stopped main; if not, nothing has been sent.

        The BRPOP may be over, after its second, before the message comes."""
        wait_until(self.stopped_in_brpop, "main to wait for a message")
        for number in NUMBERS:
            self.send(str(self.folder / f"done-{number}"))
        if self.whereabouts()["celery"] < len(NUMBERS):
            return True
        with self.client() as client:
            client.delete("celery")
        assert self.worker is not None
        self.worker.send_signal(signal.SIGCONT)
        return False

    def whereabouts(self) -> dict[str, int]:
        """How many messages each place holds."""
        with self.client() as client:
            return {"celery": int(client.llen("celery")), "unacked": int(client.hlen("unacked"))}

    def tell(self) -> int:
        """Say which tasks have run once nothing is left to run; the exit status."""
        wait_until(self.worked_off, "all messages to be worked off")
        lost = [number for number in NUMBERS if not self.has_run(number)]
        print("happened:", f"task {lost} is lost, and in no key of Redis" if lost else "it did")
        return SHOWED if lost else DID_NOT

    def worked_off(self) -> bool:
        """Whether nothing is left in Redis, and what was in the queue has run."""
        return not any(self.whereabouts().values()) and all(map(self.has_run, NUMBERS[1:]))

    def has_run(self, number: int) -> bool:
        """Whether this task has."""
        return (self.folder / f"done-{number}").exists()

    def start_redis(self) -> None:
        """Start it, with what it has kept, and wait until it answers."""
        options = ("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder))
        command = [self.server, *options, "--appendonly", "yes", "--save", ""]
        with (self.folder / "redis.log").open("ab") as log:
            self.redis = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(self.redis_answers, "Redis to answer")

    def client(self) -> redis.Redis:
        """A connection of our own, which does not try again by itself."""
        retry = Retry(NoBackoff(), 0)
        return redis.Redis(port=self.port, decode_responses=True, retry=retry, socket_timeout=5)

    def redis_answers(self) -> bool:
        """Whether it does."""
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def start_worker(self) -> None:
        """Start it as one does, and wait until it is ready."""
        (self.folder / "report_tasks.py").write_text(TASKS)
        command = [sys.executable, "-m", "celery", "-A", "report_tasks", "worker", *WORKER]
        with self.log.open("ab") as log:
            self.worker = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, "BROKER": self.url},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(lambda: " ready." in self.said(), "the worker to be ready")

    def said(self) -> str:
        """The worker's log."""
        return self.log.read_text(errors="replace")

    def send(self, *args: str) -> None:
        """Publish one task."""
        with Celery(broker=self.url) as app:
            app.send_task("report_tasks.work", args=args)

    def stopped_in_brpop(self) -> bool:
        """Stop the worker's main process; whether its BRPOP is under way.

        A BRPOP waits for a second, then the next one follows; in between, main goes on."""
        assert self.worker is not None
        pid = self.worker.pid
        self.worker.send_signal(signal.SIGSTOP)
        wait_until(lambda: state_of(pid) == "T", "main to stop")
        with self.client() as client:
            if any("b" in one["flags"] for one in client.client_list()):
                return True
        self.worker.send_signal(signal.SIGCONT)
        return False

    def close(self) -> None:
        """End all of it, and wait for it."""
        self.release.touch()
        if self.worker is not None and self.worker.poll() is None:
            self.worker.send_signal(signal.SIGCONT)
            self.worker.terminate()
            end(self.worker)
        if self.redis is not None:
            self.redis.kill()
            self.redis.wait()


def end(worker: subprocess.Popen[bytes]) -> None:
    """Wait for a worker that was asked to stop; kill it, and its processes, where it does not."""
    try:
        worker.wait(DEADLINE)
    except subprocess.TimeoutExpired:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


def state_of(pid: int) -> str:
    """The letter for a process's state in ps: T is stopped."""
    command = ["ps", "-o", "stat=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()[:1]


def wait_until(reached: Callable[[], bool], what: str) -> None:
    """Look until it is so.  Raises TimeoutError where it does not come to that in time."""
    deadline = time.monotonic() + DEADLINE
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {DEADLINE:.0f} s for {what}")
        time.sleep(POLL)


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def print_versions(server: str) -> None:
    """What is tested."""
    for name in ("celery", "kombu", "redis", "billiard"):
        print(f"{name:<9}{version(name)}")
    print(f"{'Python':<9}{sys.version.split()[0]}")
    print(subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout)


def main() -> int:
    """Run the case in a temporary folder; the exit status."""
    server = os.environ.get("REDIS_SERVER") or shutil.which("redis-server")
    if not server:
        print("there is no redis-server: name one by $REDIS_SERVER", file=sys.stderr)
        return FAILED
    print_versions(server)
    with tempfile.TemporaryDirectory() as folder:
        case = Case(server, Path(folder))
        try:
            return case.run()
        finally:
            case.close()


if __name__ == "__main__":
    sys.exit(main())
