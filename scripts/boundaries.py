"""Faults on real boundaries: the same experiments with containers struck in place of processes.

    python scripts/boundaries.py [--victims 3] [--write]

Brings the compose stack of this folder up with three workers, on a network with a subnet of its own
(scripts/boundaries.yml). Kills, pauses and cuts off the container of each worker in turn, and the
broker's, and sets each verdict beside the one of the same experiment struck inside. Takes the stack
down again if it was not up before. ``--write`` stores the table in docs/boundaries.md. Exit status:
0 where every pair is the same, 1 where one is not, 2 where it cannot begin.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs" / "boundaries.md"
FILES = os.pathsep.join(("docker-compose.yml", "scripts/boundaries.yml"))
WORKERS = 3
PATIENCE = 180.0
BROKER = "redis"
SUBNET_LABEL = "celery-crash-lab.subnet"
EXPERIMENTS = {
    "killed": "kill -9 of a worker's container",
    "paused": "a worker's container paused for an hour",
    "cut-off": "a worker's container off the network for an hour",
    "broker": "kill -9 of the broker's container (AOF)",
}
"""Name (labapp.lab.outside) and what is done; the worker that is at work varies."""
HEAD = """\
# Faults on real boundaries

Written by `python scripts/boundaries.py --write`, with `docker compose up --scale worker=3`. Ten
orders, late acknowledgement; order-3 has been charged and order-4 has not when the fault strikes.
*Process* is the experiment as every notebook runs it: the node kills, stops or cuts off its worker.
*Container* is the same experiment with the worker's, or the broker's, whole container struck by the
engine.

| fault | victim | process | container | same |
| --- | --- | --- | --- | --- |
"""


def main(arguments: list[str] | None = None) -> int:
    """Do what the module says; the exit status."""
    parser = argparse.ArgumentParser(
        description="Verdicts of containers beside those of processes."
    )
    parser.add_argument("--victims", type=int, choices=range(1, WORKERS + 1), default=WORKERS)
    parser.add_argument("--write", action="store_true", help="store the table in docs/")
    options = parser.parse_args(arguments)
    if options.write and options.victims < WORKERS:
        parser.error("--write stores the whole table: leave --victims out")
    table, same = _compare(Engine(), options.victims)
    print(table)
    if options.write:
        TABLE.write_text(table)
    return 0 if same else 1


def _compare(engine: Engine, victims: int) -> tuple[str, bool]:
    """The table, and whether every pair of verdicts is the same."""
    was_up = engine.is_up()
    if was_up:
        engine.require_subnet()
    try:
        rows = [_row(engine, name, victim) for name in EXPERIMENTS for victim in range(victims)]
    finally:
        if not was_up:
            engine.down()
    lines = (f"| {' | '.join(row)} |\n" for row in rows)
    return HEAD + "".join(lines), all(row[-1] == "yes" for row in rows)


def _row(engine: Engine, name: str, victim: int) -> tuple[str, ...]:
    """One experiment struck both ways."""
    engine.up()
    inside = engine.experiment(name, victim, local=True)
    outside = engine.experiment(name, victim, local=False)
    same = "yes" if inside == outside else "NO"
    print(f"{name} {victim}: {same}\n{outside}", file=sys.stderr, flush=True)
    return EXPERIMENTS[name], f"worker {victim + 1}", _short(inside), _short(outside), same


def _short(verdict: str) -> str:
    """What a verdict says of both guarantees."""
    return "; ".join(" ".join(line.split()) for line in verdict.splitlines()[:2])


class Engine:
    """The engine and the stack's containers."""

    def __init__(self) -> None:
        os.environ.setdefault("COMPOSE_FILE", FILES)
        self._cut = ("", "")
        """Container and network of the one that is cut off."""

    def is_up(self) -> bool:
        """Whether anything of the stack runs."""
        return bool(_compose("ps", "--quiet").split())

    def up(self) -> None:
        """Everything runs, and is healthy; who was away for long may have to be asked first."""
        deadline = time.monotonic() + PATIENCE
        while "unhealthy" in _compose("ps", "--format", "{{.Health}}"):
            if time.monotonic() > deadline:
                _stop(f"not healthy after {PATIENCE:.0f} s:\n{_compose('ps', '--all')}")
            time.sleep(1)
        _compose("up", "--detach", "--wait", "--scale", f"worker={WORKERS}")

    def down(self) -> None:
        """Nothing runs."""
        _compose("down", "--volumes")

    def require_subnet(self) -> None:
        """Exits where the stack is up on a network that gives out any address."""
        (one, *_) = _compose("ps", "--quiet", "redis").split()
        (network,) = json.loads(_run(["docker", "network", "inspect", self._described(one)[0]]))
        if SUBNET_LABEL not in network["Labels"]:
            _stop("the lab is up: take it down first, `docker compose down`")

    def experiment(self, name: str, node: int, *, local: bool) -> str:
        """One experiment inside, struck from here where it asks for it; its verdict."""
        words = ["lab", "lab", "outside", name, str(node), *["--local"] * local]
        command = ["docker", "compose", "exec", "-T", *words]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
            for line in process.stdout or ():
                told: dict[str, Any] = json.loads(line)
                if "verdict" in told:
                    return str(told["verdict"])
                self.strike(told["do"], told["host"])
                print("done", file=process.stdin, flush=True)
        return _stop(f"{name} on node {node} ended without a verdict")

    def strike(self, what: str, host: str) -> None:
        """Do this to the container at an address, or to the broker's."""
        one = self._container(host)
        match what:
            case "kill":
                _run(["docker", "kill", "--signal", "KILL", one])
            case "connect" | "disconnect":
                self._network(what, one, host)
            case _:
                _run(["docker", what, one])

    def _network(self, what: str, one: str, host: str) -> None:
        if what == "disconnect":
            self._cut = (one, self._described(one)[0])
            _run(["docker", "network", "disconnect", self._cut[1], one])
        else:  # with its address of before: connections go on where they were
            again = ("--ip", host, "--alias", "worker")
            _run(["docker", "network", "connect", *again, self._cut[1], one])
            self._cut = ("", "")

    def _container(self, host: str) -> str:
        if host == BROKER:
            return _compose("ps", "--all", "--quiet", BROKER).strip()
        for one in _compose("ps", "--all", "--quiet", "worker").split():
            if one == self._cut[0] or self._described(one)[1] == host:
                return one
        return _stop(f"no container has the address {host}")

    def _described(self, one: str) -> tuple[str, str]:
        """Name of a container's network, and its address there."""
        networks = json.loads(_run(["docker", "inspect", one]))[0]["NetworkSettings"]["Networks"]
        name = next(iter(networks), "")
        return name, networks[name]["IPAddress"] if name else ""


def _compose(*arguments: str) -> str:
    return _run(["docker", "compose", *arguments])


def _run(command: list[str]) -> str:
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return done.stdout if not done.returncode else _stop(f"{' '.join(command)}: {done.stderr}")


def _stop(why: str) -> NoReturn:
    print(f"boundaries: {why.strip()}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    sys.exit(main())
