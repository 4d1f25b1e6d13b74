"""A warm process that becomes a Celery worker on request: ``python -m labapp.node.forkserver``.

Most of a worker's start is the import of the command line and its libraries.  This process has
imported them, and nothing of a learner; for each request it forks, and the copy goes on exactly as
``python -m celery …`` would: it is a child of the node, leads a session of its own, shows the same
command line and environment mark to ``ps``, and imports the learner's module afresh.  What a fork
cannot make new is the seed of ``hash()``: see ``labapp.node.warm`` for who gets which server.

Linux only.  Started by ``labapp.node.warm``; may depend on nothing but ``labapp.node.procs``.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labapp.node.procs import die_with_parent

LIBRARIES = (
    "celery.bin.celery",
    "celery.bin.worker",
    "celery.apps.worker",
    "celery.app.amqp",
    "celery.app.control",
    "celery.app.events",
    "celery.app.log",
    "celery.backends.redis",
    "celery.concurrency.prefork",
    "celery.concurrency.solo",
    "celery.concurrency.thread",
    "celery.events.state",
    "celery.fixups.django",
    "celery.loaders.app",
    "celery.worker.autoscale",
    "celery.worker.components",
    "celery.worker.consumer",
    "celery.worker.control",
    "celery.worker.strategy",
    "httpx",
    "kombu.asynchronous.hub",
    "kombu.transport.redis",
)
"""What a worker imports before it looks at anybody's module, and the client its tasks use."""
MARK = "LAB_WORKER"
"""Environment variable that all a worker starts inherit."""
MARK_LENGTH = 16
"""Characters of its value."""
ROOM = 4096
"""Bytes of command line that a forked worker can show: what does not fit is cut off."""
REQUEST = 256 * 1024
"""Bytes of one request."""
ADOPTION = 10.0
"""Seconds that the kernel may take to hand a process over to the node (it takes microseconds)."""


def main() -> None:
    """Serve requests on the inherited socket until the node closes it."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    node = os.getppid()
    base = list(sys.path[1:])
    show_command([sys.executable, "-m", __spec__.name])
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.collect()
    gc.freeze()  # a collection in a copy would touch, and so copy, every page
    channel.sendall(b'{"ready": true}\n')
    order = serve(channel, node)
    if order is not None:
        become_worker(order, base)


def serve(channel: socket.socket, node: int) -> dict[str, Any] | None:
    """Fork once for each request.  Returns the order in the copy; None when the node has gone."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, REQUEST, 4)
        if not message:
            return None
        order: dict[str, Any] = json.loads(message)
        import_large(order["libraries"])
        middle = os.fork()
        if not middle:
            if os.fork():
                os._exit(0)  # an orphan goes to the nearest subreaper, which is the node
            settle_in(order, descriptors, node)
            channel.sendall(json.dumps({"pid": os.getpid()}).encode() + b"\n")
            channel.close()
            return order
        os.waitpid(middle, 0)
        for descriptor in descriptors:
            os.close(descriptor)


def import_large(names: Sequence[str]) -> None:
    """Import what the learner's module will import anyway, once for all the workers to come.

    Where it cannot be imported, the module says so itself."""
    new = [name for name in names if name not in sys.modules]
    for name in new:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if new:
        gc.freeze()


def settle_in(order: dict[str, Any], descriptors: Sequence[int], node: int) -> None:
    """Be the node's child in a session of its own, with the descriptors that were sent."""
    deadline = time.monotonic() + ADOPTION
    while os.getppid() != node:
        if time.monotonic() > deadline:
            os._exit(1)
        time.sleep(0)
    die_with_parent()
    if os.getppid() != node:  # it ended just before
        os._exit(1)
    os.setsid()
    log, probe = descriptors
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(null)
    os.close(log)
    os.set_inheritable(probe, True)
    order["env"][order["probe"]] = str(probe)


def become_worker(order: dict[str, Any], base: list[str]) -> None:
    """Run Celery's command line with the order's arguments, folder and environment."""
    env: dict[str, str] = order["env"]
    show_command(order["command"])
    show_mark(env[MARK])
    os.environ.clear()
    os.environ.update(env)
    os.chdir(order["cwd"])
    own = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [order["cwd"], *own, *(path for path in base if path not in own)]
    celery = importlib.import_module("celery.__main__")
    sys.argv = [str(celery.__file__), *order["command"][3:]]
    celery.main()


def show_command(command: Sequence[str]) -> None:
    """Write this command line over the one that the process was started with.

    ``ps`` and ``pkill -f`` read it from the process's own memory (proc(5), ``/proc/PID/cmdline``).
    """
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end, fields 48 and 49
    text = b"\0".join(word.encode() for word in command)[: end - start - 1]
    ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)


def show_mark(mark: str) -> None:
    """Write the worker's mark over the placeholder in the environment that the kernel shows."""
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_void_p
    where = getenv(MARK.encode())
    if where and len(mark) == MARK_LENGTH:
        ctypes.memmove(where, mark.encode(), MARK_LENGTH)


if __name__ == "__main__":
    main()
