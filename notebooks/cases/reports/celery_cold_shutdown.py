"""A cold shutdown (SIGQUIT) waits for a task, where main has not heard yet that it has started.

    python celery_cold_shutdown.py

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
WORKER = ("--concurrency", "1", "--loglevel", "INFO")
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
MOMENT = 0.5  # seconds in which a task starts that a process has been given
HANDLER, WAITS, STACK_ENDS = "in on_cold_shutdown", "in on_stop_not_started", "'tmap': {"


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
        self.asked = 0
        self.redis: subprocess.Popen[bytes] | None = None
        self.worker: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """SIGQUIT, when the task has started and the message that says so is not read."""
        self.start_redis()
        self.start_worker()
        self.start_unheard()
        assert self.worker is not None
        self.worker.send_signal(signal.SIGQUIT)
        self.worker.send_signal(signal.SIGCONT)
        print("One task runs.  Main has not read yet that it has started, and gets SIGQUIT.")
        print("expected: the task is cancelled, and the worker ends")
        wait_until(self.has_settled, "the worker to end, or to wait for its pool")
        if self.worker.poll() is not None:
            print("happened: it did")
            return DID_NOT
        print("happened: the worker waits for the task, inside its signal handler:")
        print(*self.stack(), sep="\n")
        self.release.touch()
        self.worker.wait(DEADLINE)
        print(f"It ended when the task had, with exit status {self.worker.returncode}.")
        return SHOWED

    def start_unheard(self) -> None:
        """Give a task to a stopped process; stop main; let the process go on.

        As it is, in short, where main is busy with something else when a task starts."""
        assert self.worker is not None
        wait_until(lambda: len(children(self.worker_pid)) == 1, "the pool to have its process")
        child = children(self.worker_pid)[0]
        os.kill(child, signal.SIGSTOP)
        self.send(str(self.release))
        wait_until(lambda: " received" in self.said(), "main to receive the task")
        wait_until(lambda: self.starts_alone(child), "the task to start while main is stopped")

    def starts_alone(self, child: int) -> bool:
        """Whether the task starts while main is stopped; if not, main had not handed it over."""
        assert self.worker is not None
        self.worker.send_signal(signal.SIGSTOP)
        wait_until(lambda: state_of(self.worker_pid) == "T", "main to stop")
        os.kill(child, signal.SIGCONT)
        try:
            wait_until(Path(f"{self.release}.started").exists, "the task to start", MOMENT)
        except TimeoutError:
            os.kill(child, signal.SIGSTOP)
            wait_until(lambda: state_of(child) == "T", "the process to stop")
            self.worker.send_signal(signal.SIGCONT)
            return False
        return True

    @property
    def worker_pid(self) -> int:
        """Of the main process."""
        assert self.worker is not None
        return self.worker.pid

    def has_settled(self) -> bool:
        """Whether the worker has ended, or says, asked by SIGUSR1, that it waits for its pool."""
        assert self.worker is not None
        if self.worker.poll() is not None:
            return True
        text = self.said()
        told = text.count(STACK_ENDS) == self.asked and (
            not self.asked or text.rstrip()[-2:] == "}}"
        )
        if told and HANDLER in text and WAITS in text.rpartition(HANDLER)[2]:
            return True
        if told and "Hitting Ctrl+C again" in text:  # never twice at once: print cannot do that
            self.asked += 1
            self.worker.send_signal(signal.SIGUSR1)
        return False

    def stack(self) -> list[str]:
        """The frames inside the handler, without folders."""
        inside = self.said().rpartition(HANDLER)[2].partition("cry_handler")[0]
        found = [line.strip() for line in inside.splitlines() if line.startswith("  File ")]
        return ["  " + frame.rpartition("/")[2].replace('"', "") for frame in found[:-1]]

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


def children(pid: int) -> list[int]:
    """The processes of a worker's pool."""
    said = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    )
    pairs = (line.split() for line in said.stdout.splitlines())
    return [int(child) for child, parent in pairs if int(parent) == pid]


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


def wait_until(reached: Callable[[], bool], what: str, seconds: float = DEADLINE) -> None:
    """Look until it is so.  Raises TimeoutError where it does not come to that in time."""
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
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
