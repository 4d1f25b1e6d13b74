"""Faults on real boundaries: the same experiments with containers struck in place of processes.

    python scripts/boundaries.py [--write] [--project NAME]

Drives the compose stack of this folder, which must be up with three workers: kills, pauses and
cuts off the container of each in turn, and the broker's, and sets each verdict beside the one of
the same experiment struck inside. ``--write`` stores the table in docs/boundaries.md. Exit status:
0 where every pair is the same, 1 where one is not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs" / "boundaries.md"
WORKERS = 3
PATIENCE = 180.0
BROKER = "redis"
EXPERIMENTS = [
    ("killed", "kill -9 of a worker's container", WORKERS),
    ("paused", "a worker's container paused for an hour", WORKERS),
    ("cut-off", "a worker's container off the network for an hour", WORKERS),
    ("broker", "kill -9 of the broker's container (AOF)", WORKERS),
]
"""Name (labapp.lab.outside), what is done, and how many victims there are to vary."""
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
    parser.add_argument("--write", action="store_true", help="store the table in docs/")
    parser.add_argument("--project", default="", help="compose's project name")
    options = parser.parse_args(arguments)
    engine = Engine(options.project)
    rows = [
        row for name, what, victims in EXPERIMENTS for row in _rows(engine, name, what, victims)
    ]
    table = HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)
    print(table)
    if options.write:
        TABLE.write_text(table)
    return 0 if all(row[-1] == "yes" for row in rows) else 1


def _rows(engine: Engine, name: str, what: str, victims: int) -> list[tuple[str, ...]]:
    found = []
    for victim in range(victims):
        engine.up()
        inside = engine.experiment(name, victim, local=True)
        outside = engine.experiment(name, victim, local=False)
        same = "yes" if inside == outside else "NO"
        print(f"{name} {victim}: {same}\n{outside}", file=sys.stderr, flush=True)
        row = (what, f"worker {victim + 1}", _short(inside), _short(outside), same)
        found.append(row)
    return found


def _short(verdict: str) -> str:
    return "; ".join(" ".join(line.split()) for line in verdict.splitlines()[:2])


class Engine:
    """The engine and the stack's containers."""

    def __init__(self, project: str) -> None:
        self._compose = ["docker", "compose", *(["--project-name", project] if project else [])]
        self._cut = ("", "")
        """Container and network of the one that is cut off."""

    def up(self) -> None:
        """Everything runs, and is healthy."""
        _run([*self._compose, "up", "--detach", "--wait", "--scale", f"worker={WORKERS}"])

    def experiment(self, name: str, node: int, *, local: bool) -> str:
        """One experiment inside, struck from here where it asks for it; its verdict."""
        command = [*self._compose, "exec", "-T", "lab", "lab", "outside", name, str(node)]
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command + ["--local"] * local, stdin=pipe, stdout=pipe, text=True
        ) as process:
            for line in process.stdout or ():
                told: dict[str, Any] = json.loads(line)
                if "verdict" in told:
                    return str(told["verdict"])
                self.strike(told["do"], told["host"])
                print("done", file=process.stdin, flush=True)
        raise SystemExit(f"boundaries: {name} on node {node} ended without a verdict")

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
            return _run([*self._compose, "ps", "--all", "--quiet", BROKER]).strip()
        for one in _run([*self._compose, "ps", "--all", "--quiet", "worker"]).split():
            if one == self._cut[0] or self._described(one)[1] == host:
                return one
        raise SystemExit(f"boundaries: no container has the address {host}")

    def _described(self, one: str) -> tuple[str, str]:
        """Name of a container's network, and its address there."""
        networks = json.loads(_run(["docker", "inspect", one]))[0]["NetworkSettings"]["Networks"]
        name = next(iter(networks), "")
        return name, networks[name]["IPAddress"] if name else ""


def _run(command: list[str]) -> str:
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if done.returncode:
        raise SystemExit(f"boundaries: {' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
