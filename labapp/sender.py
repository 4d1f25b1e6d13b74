"""The publishing process: ``python -m labapp.sender MODULE``.

Imports the module, says which tasks it has, then publishes what it is asked to, or makes the shop's
tables by the module's ``migrate()``, one JSON line each way.  It ends with its standard input, even
while a module hangs.  Started by ``labapp.lab.publisher`` only.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import IO, Any

MIGRATE = "migrate"
"""The function of a module that makes the shop's tables, and the request to call it."""
OPTIONS = "look at what its @app.task(…) are given: an option has a value that Celery cannot use"
"""Tasks are made when the app is finalized, where no line of the module stands in the traceback."""


def main() -> None:
    """Serve one module until standard input ends."""
    requests = listen()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the module prints must not look like an answer
    own, hint = os.getpid(), ""
    try:
        module = importlib.import_module(sys.argv[1])
        app = app_of(module)
        hint = OPTIONS
        app.finalize()
        app.conf.task_send_sent_event = True  # so that Flower also sees what no worker received
    except BaseException as error:  # whatever a learner's module raises, SystemExit included
        if os.getpid() == own:
            say(answers, {"error": last_line(error), "hint": where(error) or hint})
        return
    if os.getpid() != own:
        return  # the module forked: the copy must not answer as well
    tasks = sorted(name for name in app.tasks if not name.startswith("celery."))
    say(answers, {"tasks": tasks, "migrates": callable(getattr(module, MIGRATE, None))})
    while True:
        request = json.loads(requests.get())
        try:
            if MIGRATE in request:
                module.migrate()
                say(answers, {})
            else:
                say(answers, {"ids": publish(app, request)})
        except Exception as error:
            say(answers, {"error": last_line(error), "hint": where(error)})


def publish(app: Any, request: dict[str, Any]) -> list[str]:
    """Publish the task once for each call; the task ids."""
    task = app.tasks[request["task"]]
    wanted = zip(request["calls"], request["ids"], strict=True)
    wait = {"countdown": request["countdown"]} if request["countdown"] else {}
    return [task.apply_async(args=call, task_id=i, **wait).id for call, i in wanted]


def listen() -> SimpleQueue[bytes]:
    """The lines that the lab sends; when the lab has gone, this process ends at once."""
    source = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # a module that asks for input gets none
    lines: SimpleQueue[bytes] = SimpleQueue()

    def read() -> None:
        rest = b""
        while piece := os.read(source, 65536):
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                lines.put(line)
        os._exit(0)

    Thread(target=read, daemon=True).start()
    return lines


def app_of(module: Any) -> Any:
    """The module's Celery app, found as ``celery -A`` finds it."""
    from celery.app.utils import find_app

    try:
        app = find_app(module.__name__)
    except AttributeError:
        raise LookupError("there is no Celery app in it") from None
    return app


def say(answers: IO[str], answer: dict[str, Any]) -> None:
    """One line to the lab."""
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def last_line(error: BaseException) -> str:
    """The error in one line."""
    return traceback.format_exception_only(error)[-1].strip()


def where(error: BaseException) -> str:
    """File and line in the learner's folder that the error points at; empty where none does."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"look at {Path(error.filename).name}, line {error.lineno}"
    here = str(Path.cwd())
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(here)]
    return f"look at {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""


if __name__ == "__main__":
    main()
