"""A worker exits with status 1 when Redis is restarted, instead of reconnecting.

    python kombu_worker_exit.py

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
WORKER = ("--concurrency", "2", "--loglevel", "INFO")
TASKS = """
import os, time
from celery import Celery

app = Celery("report", broker=os.environ["BROKER"])
app.conf.task_acks_late = True
app.conf.worker_proc_alive_timeout = 60  # the default of 4 s is short on a loaded machine


@app.task
def work(release):
    open(release + ".started", "w").close()
    while not os.path.exists(release):
        time.sleep(0.01)
"""
ENDS, STAYS, BACK = "Unrecoverable error", "Trying again in", "Connected to"


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
        """Kill Redis while one task runs and the worker waits for another; start Redis again."""
        self.start_redis()
        self.start_worker()
        self.send(str(self.release))
        wait_until(Path(f"{self.release}.started").exists, "the task to start")
        self.lose_redis()
        wait_until(lambda: ENDS in self.said() or STAYS in self.said(), "the worker to notice")
        self.start_redis()
        self.release.touch()  # a worker that gives up waits for its task all the same
        print("One task runs (late ack), one process is free: the worker waits for a message.")
        print("Redis is killed, and started again with its append-only file.")
        print("expected: the worker reconnects")
        return self.tell()

    def lose_redis(self) -> None:
        """kill -9, while the worker's BRPOP waits."""
        assert self.redis is not None
        assert self.worker is not None
        wait_until(self.stopped_in_brpop, "main to wait for a message")
        self.redis.kill()
        self.redis.wait()
        self.worker.send_signal(signal.SIGCONT)

    def tell(self) -> int:
        """Say what became of the worker; the exit status."""
        wait_until(self.has_settled, "the worker to reconnect or to end")
        assert self.worker is not None
        if self.worker.poll() is None:
            print("happened: it did")
            return DID_NOT
        print(f"happened: it ended with exit status {self.worker.returncode}")
        print(*why(self.said().splitlines()), sep="\n")
        return SHOWED

    def has_settled(self) -> bool:
        """Whether the worker has ended, or is connected again."""
        assert self.worker is not None
        return self.worker.poll() is not None or BACK in self.said().partition(STAYS)[2]

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


def why(lines: list[str]) -> list[str]:
    """What the worker gave up for, and the innermost frames of its traceback, without folders."""
    first = next((n for n, line in enumerate(lines) if ENDS in line), len(lines))
    said = [line[line.find(ENDS) :] for line in lines[first : first + 1]]
    frames = [line.strip() for line in lines[first:] if line.startswith("  File ")]
    return said + ["  " + frame.rpartition("/")[2].replace('"', "") for frame in frames[-9:]]


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
