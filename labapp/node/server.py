"""The node's process: workers' verbs over HTTP, leases, and the live default worker.

A lease is an open connection: when the notebook's kernel that holds it ends, however it ends, the
kernel of the operating system closes it, and the node ends every worker of that lease.  May depend
on ``labapp.stack`` and ``labapp.errors``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import secrets
import shutil
import signal
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from aiohttp import web

from labapp.errors import LabError
from labapp.node import procs
from labapp.node.link import Link, Way
from labapp.node.private_broker import PrivateBroker
from labapp.node.warm import WarmStarts
from labapp.node.workers import SCRATCH, Worker, WorkerSpec
from labapp.stack.control_server import health, json_object, serve, token_guard
from labapp.stack.ports import LOOPBACK
from labapp.stack.processes import become_subreaper
from labapp.stack.space import FOR_A_LOG, require_space
from labapp.stack.state import LIVE, task_environment

log = logging.getLogger("labapp.node")

DATABASES = range(1, 64)
"""Redis databases for sessions; 0 belongs to the live worker and to what is sent by hand."""
SIGNAL_PATIENCE = 1.0
"""Seconds that a signal waits for main to be at rest."""
KEPT_LOGS = 200
"""Workers' logs that a node keeps when it starts."""
RESTART_PAUSE = 0.5
"""Seconds before a worker that exited is started again."""
LONGEST_PAUSE = 10.0
"""Seconds; one that cannot start (a broken module, no broker) is tried ever less often."""
WATCH = 0.1
"""Seconds between two looks at whether a kept worker still runs."""


class Node:
    """Workers and leases of one host.

    Args:
        logs: folder of the workers' logs.
        broker_url: the broker's address, without a database.
        world_url: the world's address.
        host: the address at which it, and the brokers of runs, listen.
    """

    def __init__(self, logs: Path, broker_url: str, world_url: str, host: str = LOOPBACK) -> None:
        self.logs = logs
        self.host = host
        self.broker_url = broker_url.rstrip("/")
        self.broker_port = urlsplit(broker_url).port or 6379
        self.world_url = world_url
        self.world_port = urlsplit(world_url).port or 80
        self.workers: dict[str, Worker] = {}
        self.leases: dict[str, int] = {}
        self.ends: dict[str, list[int | None]] = {}
        """Exit statuses of kept workers that ended by themselves, by name, in order."""
        self.warm = WarmStarts()
        self.brokers: dict[str, PrivateBroker] = {}
        self.links: dict[str, Link] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # Verbs

    async def post_worker(self, request: web.Request) -> web.StreamResponse:
        """``POST /workers``: start a worker and answer when it is ready."""
        worker = await self.start(WorkerSpec(**await json_object(request)))
        return web.json_response(worker.to_json())

    async def start(self, spec: WorkerSpec) -> Worker:
        """Start a worker, and keep it running where the spec says so.

        Raises:
            LabError: its name is taken, it exits, or is not ready.
        """
        worker = await self._launch(spec)
        if spec.restart:
            self._in_background(self.keep(spec, worker))
        return worker

    async def _launch(self, spec: WorkerSpec) -> Worker:
        if spec.lease:
            self._held(spec.lease)
        if (old := self.workers.get(spec.name)) is not None and old.alive():
            raise LabError(f"a worker named {spec.name} is running already")
        require_space(self.logs, FOR_A_LOG)
        worker = Worker(spec, self.logs / f"{spec.name}.log", self.warm)
        self.workers[spec.name] = worker
        try:
            await worker.ready()
        except BaseException:
            await asyncio.shield(self.remove(worker))
            raise
        return worker

    async def remove(self, worker: Worker) -> None:
        """Kill and reap a worker, and forget it."""
        try:
            await worker.kill()
        finally:
            if self.workers.get(worker.spec.name) is worker:
                del self.workers[worker.spec.name]

    async def get_workers(self, request: web.Request) -> web.StreamResponse:
        """``GET /workers``."""
        return web.json_response(
            [
                {**worker.to_json(), "ends": self.ends.get(name, [])}
                for name, worker in self.workers.items()
            ]
        )

    async def delete_worker(self, request: web.Request) -> web.StreamResponse:
        """``DELETE /workers/NAME``: kill -9, reaped when this answers; with its connections.

        One that is gone already is no error: who wants it gone has what they want."""
        worker = self.workers.get(request.match_info["name"])
        if worker is None:
            return web.json_response({"clients": []})
        await worker.pause()  # so that it opens no connection after we have looked
        clients = worker.clients(worker.broker_port or self.broker_port)
        await self.remove(worker)
        return web.json_response({"clients": clients})

    async def post_verb(self, request: web.Request) -> web.StreamResponse:
        """``POST /workers/NAME/VERB``: kill_child, freeze_child, pause, resume, signal, …"""
        worker = self._named(request)
        body = await json_object(request)
        verbs = {
            "kill_child": self._kill_child,
            "freeze_child": self._freeze_child,
            "pause": self._pause,
            "resume": self._resume,
            "clients": self._clients,
            "signal": self._signal,
            "wait": self._wait,
            "wait_log": self._wait_log,
            "log": self._log,
        }
        verb = verbs.get(request.match_info["verb"])
        if verb is None:
            raise LabError(f"a worker has no verb {request.match_info['verb']}")
        return web.json_response(await verb(worker, body))

    async def _kill_child(self, worker: Worker, body: Any) -> dict[str, Any]:
        pid = self._owner_of(worker, body)
        await worker.kill_child(pid)
        return {"pid": pid}

    async def _freeze_child(self, worker: Worker, body: Any) -> dict[str, Any]:
        pid = self._owner_of(worker, body)
        await procs.stop([pid])
        return {"pid": pid}

    def _owner_of(self, worker: Worker, body: Any) -> int:
        """Which process of the worker has this connection."""
        pid = worker.owner(int(body["port"]), int(body.get("server_port") or self.world_port))
        if pid is None:
            raise LabError(f"worker {worker.spec.name} does not own port {body['port']}")
        return pid

    async def _pause(self, worker: Worker, body: Any) -> dict[str, Any]:
        if body.get("main_only"):
            if body.get("at_rest"):
                await procs.until(lambda: procs.at_rest(worker.pid), "main to be at rest")
            await procs.stop([worker.pid])
        elif body.get("children_only"):
            await procs.stop(worker.pids()[1:])
        else:
            await worker.pause()
        return {"clients": worker.clients(worker.broker_port or self.broker_port)}

    async def _resume(self, worker: Worker, body: Any) -> dict[str, Any]:
        if body.get("children_only"):
            procs.resume(worker.pids()[1:])
        else:
            worker.resume()
        return {}

    async def _clients(self, worker: Worker, body: Any) -> dict[str, Any]:
        return {"clients": worker.clients(worker.broker_port or self.broker_port)}

    async def _signal(self, worker: Worker, body: Any) -> dict[str, Any]:
        # A main at rest has read all that its children have told it.  Celery's cold shutdown skips
        # a task of whose start main has not heard, and then waits for it (quit_unheard).
        patience = 0.0 if body.get("at_once") else SIGNAL_PATIENCE
        with contextlib.suppress(LabError):  # a main that is never at rest gets its signal, too
            await procs.until(lambda: procs.at_rest(worker.pid), "main to be at rest", patience)
        worker.process.send_signal(signal.Signals[f"SIG{body['signal']}"])
        return {}

    async def _wait(self, worker: Worker, body: Any) -> dict[str, Any]:
        return {"exit_status": await worker.exited(float(body["timeout"]))}

    async def _wait_log(self, worker: Worker, body: Any) -> dict[str, Any]:
        text = str(body["text"])
        await procs.until(
            lambda: text in worker.tail(10_000), f"{text!r} in the log", float(body["timeout"])
        )
        return {}

    async def _log(self, worker: Worker, body: Any) -> dict[str, Any]:
        return {"tail": worker.tail(int(body.get("lines", 15)))}

    async def owner(self, request: web.Request) -> web.StreamResponse:
        """``POST /owner`` ``{"port": p}``: which worker holds that connection to the world."""
        port = int((await json_object(request))["port"])
        for worker in self.workers.values():
            if (pid := worker.owner(port, self.world_port)) is not None:
                return web.json_response({"worker": worker.spec.name, "pid": pid})
        return web.json_response({"worker": None, "pid": None})

    def _named(self, request: web.Request) -> Worker:
        name = request.match_info["name"]
        worker = self.workers.get(name)
        if worker is None:
            raise LabError(f"there is no worker named {name} here")
        return worker

    # What stands between a run's workers and the rest: brokers of its own, breakable links

    async def post_broker(self, request: web.Request) -> web.StreamResponse:
        """``POST /brokers`` ``{"lease", "aof"}``: a broker of a run's own, started."""
        body = await json_object(request)
        name = secrets.token_hex(4)
        lease = self._held(str(body["lease"]))
        folder = self.logs / f"{name}{SCRATCH}"
        broker = PrivateBroker(folder, bool(body["aof"]), lease, self.host)
        self.brokers[name] = broker
        try:
            await broker.start()
        except BaseException:
            self.close_broker(name)
            raise
        return web.json_response({"name": name, "url": broker.url})

    async def post_broker_verb(self, request: web.Request) -> web.StreamResponse:
        """``POST /brokers/NAME/kill`` (-9), ``…/start`` (again, with what is left of its data)."""
        broker, verb = self._named_broker(request), request.match_info["verb"]
        if verb == "kill":
            broker.kill()
        elif verb == "start":
            await broker.start()
        else:
            raise LabError(f"a broker has no verb {verb}")
        return web.json_response({})

    async def delete_broker(self, request: web.Request) -> web.StreamResponse:
        """``DELETE /brokers/NAME``: end it; one that is gone already is no error."""
        self.close_broker(request.match_info["name"])
        return web.json_response({})

    def close_broker(self, name: str) -> None:
        """End a broker of a run's own and forget it."""
        if (broker := self.brokers.pop(name, None)) is not None:
            broker.close()

    def _named_broker(self, request: web.Request) -> PrivateBroker:
        name = request.match_info["name"]
        if name not in self.brokers:
            raise LabError(f"there is no broker named {name} here")
        return self.brokers[name]

    async def post_link(self, request: web.Request) -> web.StreamResponse:
        """``POST /links`` ``{"lease", "host", "port"}``: a second address of a broker."""
        body = await json_object(request)
        name = secrets.token_hex(4)
        lease = self._held(str(body["lease"]))
        link = Link(str(body["host"]), int(body["port"]), lease)
        port = await link.open()
        self.links[name] = link
        return web.json_response({"name": name, "port": port})

    async def put_link(self, request: web.Request) -> web.StreamResponse:
        """``PUT /links/NAME`` ``{"way", "delay"}``: cut, stall, slow down or mend it."""
        body = await json_object(request)
        link = self.links.get(request.match_info["name"])
        if link is None:
            raise LabError(f"there is no link named {request.match_info['name']} here")
        link.delay = float(body.get("delay", 0.0))
        return web.json_response({"clients": await link.be(Way(body["way"]))})

    async def delete_link(self, request: web.Request) -> web.StreamResponse:
        """``DELETE /links/NAME``: close it; one that is gone already is no error."""
        await self.close_link(request.match_info["name"])
        return web.json_response({})

    async def close_link(self, name: str) -> None:
        """Close a link and forget it."""
        if (link := self.links.pop(name, None)) is not None:
            await link.close()

    async def close_surroundings(self, lease: str = "") -> None:
        """Close the brokers and links of this lease; of all, where none is named."""
        for name in [n for n, b in self.brokers.items() if lease in ("", b.lease)]:
            self.close_broker(name)
        for name in [n for n, k in self.links.items() if lease in ("", k.lease)]:
            await self.close_link(name)

    def _held(self, lease: str) -> str:
        """The lease's name.  Raises LabError where it has ended."""
        if lease not in self.leases:
            raise LabError("this lease has ended", hint="run the cell again")
        return lease

    # Leases

    async def lease(self, request: web.Request) -> web.StreamResponse:
        """``GET /lease``: a lease that lives as long as this answer's connection.

        With ``?name=…&database=N`` the one that another node has given out; with ``?avoid=N,…``
        a new one with none of these databases.  The first line tells its name and its database."""
        name = request.query.get("name") or secrets.token_hex(4)
        database = self._database(request.query.get("database"), request.query.get("avoid", ""))
        self.leases[name] = database
        try:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(f'{{"lease": "{name}", "database": {database}}}\n'.encode())
            await asyncio.Event().wait()  # until the client is gone: then this is cancelled
            return response
        finally:
            await asyncio.shield(self.end_lease(name))

    def _database(self, wanted: str | None, avoid: str) -> int:
        """The database wanted, or the first that is free.  Raises LabError where it is in use."""
        free = set(DATABASES) - set(self.leases.values())
        if wanted is not None:
            if int(wanted) not in free:
                raise LabError(f"database {wanted} is in use here")
            return int(wanted)
        free -= {int(number) for number in avoid.split(",") if number}
        if not free:
            raise LabError(
                "all 63 sessions of this stack are in use", hint="shut down some kernels"
            )
        return min(free)

    async def end_lease(self, name: str) -> None:
        """Kill and reap every worker of this lease, then empty and free its database."""
        for worker in [w for w in self.workers.values() if w.spec.lease == name]:
            with contextlib.suppress(LabError):
                await self.remove(worker)
        await self.close_surroundings(name)
        await self._empty(self.leases[name])
        del self.leases[name]

    async def _empty(self, database: int) -> None:
        """Delete a database's keys: the next session must not find them.

        Without a broker there is nothing to be done; a run begins by emptying its database, too."""
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError

        broker = Redis.from_url(
            f"{self.broker_url}/{database}",
            socket_timeout=1,
            socket_connect_timeout=1,
            retry=Retry(NoBackoff(), 0),
        )
        with contextlib.suppress(RedisError, OSError):
            await broker.flushdb()
        await broker.aclose()

    # The node itself

    async def keep(self, spec: WorkerSpec, worker: Worker | None = None) -> None:
        """Keep one worker running: start it again whenever it ends by itself, if need be for ever.

        One that was killed through the node stays away, unless it is the live one (no lease)."""
        pause = RESTART_PAUSE
        while not spec.lease or spec.lease in self.leases:
            try:
                worker = worker or await self._launch(spec)
                pause = RESTART_PAUSE
                status = await worker.exited(math.inf, poll=WATCH)
                if spec.lease and worker.state == "killed":
                    return
                self.ends.setdefault(spec.name, []).append(status)
                log.warning("worker %s exited with status %s: restarting", spec.name, status)
            except (LabError, OSError) as error:
                log.error("%s", error)
                pause = min(2 * pause, LONGEST_PAUSE)
            worker = None
            await asyncio.sleep(pause)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)  # the loop itself keeps no task alive
        task.add_done_callback(self._tasks.discard)

    def reap_strays(self) -> None:
        """Wait for ended orphans that became this process's children (it is their subreaper)."""
        mains = {worker.pid for worker in self.workers.values()} | self.warm.pids
        mains |= {broker.pid for broker in self.brokers.values()}
        for child in psutil.Process().children():
            if child.pid not in mains and procs.state(child.pid) == "zombie":
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(child.pid, os.WNOHANG)

    async def lifetime(self, default: WorkerSpec | None) -> AsyncIterator[None]:
        """Start-up and shutdown of the node, as aiohttp's cleanup context."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self.reap_strays)
        if default:
            self._in_background(self.keep(default))
        yield
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for worker in list(self.workers.values()):
            with contextlib.suppress(LabError):
                await self.remove(worker)
        await self.close_surroundings()
        self.warm.close()

    def application(self, token: str, default: WorkerSpec | None) -> web.Application:
        """The aiohttp application with all routes."""

        async def lifetime(_: web.Application) -> AsyncIterator[None]:
            async for step in self.lifetime(default):
                yield step

        app = web.Application(middlewares=[token_guard(token, "/")])
        app.cleanup_ctx.append(lifetime)
        app.add_routes(
            [
                web.get("/health", health),
                web.get("/lease", self.lease),
                web.get("/workers", self.get_workers),
                web.post("/workers", self.post_worker),
                web.delete("/workers/{name}", self.delete_worker),
                web.post("/workers/{name}/{verb}", self.post_verb),
                web.post("/owner", self.owner),
                web.post("/brokers", self.post_broker),
                web.post("/brokers/{name}/{verb}", self.post_broker_verb),
                web.delete("/brokers/{name}", self.delete_broker),
                web.post("/links", self.post_link),
                web.put("/links/{name}", self.put_link),
                web.delete("/links/{name}", self.delete_link),
            ]
        )
        return app


def default_worker(module: str, path: Path, broker_url: str, world_url: str) -> WorkerSpec:
    """The live worker on database 0, which runs whatever a learner sends by hand."""
    return WorkerSpec(
        name=LIVE,
        module=module,
        path=str(path),
        env=task_environment(
            f"{broker_url.rstrip('/')}/0",
            f"{world_url}/{LIVE}",
            os.environ.get("LAB_MAIL_URL", ""),
        ),
        arguments=("--without-gossip", "--without-mingle", "--task-events"),
        restart=True,
    )


def main(
    host: str, port: int, logs: Path, token: str, default_app: str = "", default_path: str = ""
) -> None:
    """Serve the node until SIGTERM or SIGINT.

    Args:
        host: address to listen on.
        port: TCP port.
        logs: folder for the workers' logs.
        token: control token.
        default_app: module of the live default worker; empty for none.
        default_path: folder of that module.

    Raises:
        LabError: the port is taken, or a setting is missing.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    become_subreaper()
    logs.mkdir(parents=True, exist_ok=True)
    forget_old_logs(logs)
    broker_url, world_url = address("LAB_BROKER_URL"), address("LAB_WORLD_URL")
    node = Node(logs, broker_url, world_url, host)
    folder = Path(default_path).resolve()
    default = default_worker(default_app, folder, broker_url, world_url) if default_app else None
    serve(node.application(token, default), host, port, "node")


def forget_old_logs(logs: Path) -> None:
    """Delete all but the newest logs, since each experiment leaves one or two, and the temporary
    files of workers whose node was killed."""
    for folder in logs.glob(f"*{SCRATCH}"):
        shutil.rmtree(folder, ignore_errors=True)
    by_age = sorted(logs.glob("*.log"), key=lambda file: file.stat().st_mtime)
    for old in by_age[:-KEPT_LOGS]:
        old.unlink(missing_ok=True)


def address(variable: str) -> str:
    """An address from the environment.  Raises LabError where it is not set."""
    if value := os.environ.get(variable):
        return value
    raise LabError(f"${variable} is not set", hint="`lab up` sets it; in compose the service does")
