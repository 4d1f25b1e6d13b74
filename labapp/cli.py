"""The `lab` command. Imports what a command needs when it runs, so that each starts fast."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from labapp.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labapp.lab.dead_letters_cli import Where
    from labapp.stack.doctor import Finding


class Commands(click.Group):
    """Turns a LabError of any command into one line (and a hint) and exit status 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LabError as error:
            fail(error)
        except KeyboardInterrupt:
            sys.exit(130)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # `lab logs | head` is no mistake
            return None


def fail(error: LabError) -> NoReturn:
    """Say what is wrong and how to mend it; exit status 2."""
    click.echo("\n".join(error.lines), err=True)
    sys.exit(2)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="labapp", prog_name="lab")
def main() -> None:
    """A lab for learning how Celery and Redis queues break."""


@main.command()
@click.option("--detach", is_flag=True, help="Return as soon as everything is ready.")
@click.option("--no-browser", is_flag=True, help="Print the address, open nothing.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="JupyterLab's port; a free one if not given."
)
@click.option("--headless", is_flag=True, help="Broker, world and node only.")
@click.option(
    "--without-jupyterlab",
    is_flag=True,
    help="All the rest, beside a JupyterLab of yours (Binder).",
)
@click.option("--base-url", metavar="PATH", help="Where that JupyterLab answers; / if not given.")
def up(
    detach: bool,
    no_browser: bool,
    port: int | None,
    headless: bool,
    without_jupyterlab: bool,
    base_url: str | None,
) -> None:
    """Start everything in this folder; Ctrl-C stops all of it."""
    from labapp.stack.home import lab_home, project_root
    from labapp.stack.jupyter import BASE, base_path
    from labapp.stack.services import Options

    _require_no_container("up")
    if base_url and not without_jupyterlab:
        raise LabError("--base-url is for --without-jupyterlab only", hint="leave it out")
    options = Options(
        headless=headless,
        port=port or 0,
        browser=not no_browser,
        jupyterlab=not without_jupyterlab,
        base=base_path(base_url or BASE),
    )
    home, root = lab_home(), project_root()
    if detach:
        from labapp.stack.detach import up_detached as start
    else:
        from labapp.stack.supervisor import up as start
    running = start(home, root, options, click.echo)
    if running is not None:
        click.echo(f"lab: already running here (pid {running.pid})")
        url = running.jupyter_url
        click.echo(f"lab: open {url}" if url else "lab: without JupyterLab")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(as_json: bool) -> None:
    """What runs here."""
    from labapp.stack.report import status_lines, status_of

    found = status_of()
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(status_lines(found)))


@main.command()
def down() -> None:
    """Stop everything in this folder, and wait until it is gone."""
    _require_no_container("down")
    from labapp.stack.detach import down as stop
    from labapp.stack.home import lab_home

    click.echo(f"lab: {stop(lab_home())}")


@main.command()
@click.option(
    "--workshop",
    is_flag=True,
    help="Look for all that goes wrong in rooms, then start, crash and stop a lab once; offline.",
)
def doctor(workshop: bool) -> None:
    """What is used and what is missing; exit status 1 if something needed is missing."""
    from itertools import chain

    from labapp.stack.doctor import examine

    findings = chain(examine(), _preflight() if workshop else ())
    bad = 0
    for finding in findings:
        click.echo(str(finding))
        bad += finding.stops
    if workshop:
        click.echo(f"lab: {bad} to mend, see above" if bad else "lab: ready for the workshop")
    if bad:
        sys.exit(1)


def _preflight() -> Iterator[Finding]:
    """What `--workshop` adds: the room, then the rehearsal."""
    from labapp.course.preflight import rehearse
    from labapp.stack.workshop import examine_room

    yield from examine_room()
    yield from rehearse(lambda line: click.echo(f"  ...      {line}"))


@main.command()
@click.argument("service", required=False)
@click.option("--lines", "-n", default=20, show_default=True, type=click.IntRange(0, 10_000))
@click.option("--follow", "-f", is_flag=True, help="Go on with what is added; Ctrl-C ends it.")
def logs(service: str | None, lines: int, follow: bool) -> None:
    """The last lines of one log (a service or a worker), or of all."""
    _require_no_container("logs")
    from labapp.stack import logs as room
    from labapp.stack.home import lab_home

    home = lab_home()
    names = [service] if service else list(room.log_files(home))
    if follow and not service:
        raise LabError("which log is to be followed?", hint=f"one of: {', '.join(names)}")
    if not names:
        raise LabError("no logs here yet", hint="start the lab with `make lab` (or `lab up`)")
    for name in names:
        path = room.pick(home, name)
        end = room.size(path)
        if not service:
            click.echo(f"==> {name} <==")
        click.echo(room.tail(path, lines, end))
        if follow:
            _follow(path, end)


def _require_no_container(command: str) -> None:
    """Raises LabError in a container of the compose stack, where the engine does this."""
    from labapp.stack.state import in_container

    if in_container():
        hint = f"on the host: `docker compose {command}`"
        raise LabError("the lab's services are containers here", hint=hint)


def _follow(path: Path, position: int) -> None:
    from labapp.stack.logs import follow

    try:
        for text in follow(path, position):
            click.echo(text, nl=False)
    except KeyboardInterrupt:
        click.echo()


def secret(name: str) -> str:
    """A secret from the environment.

    Raises:
        LabError: it is not set.
    """
    value = os.environ.get(name)
    if not value:
        raise LabError(f"{name} is not set", hint="secrets come by environment, never as arguments")
    return value


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", required=True, type=click.IntRange(1, 65535))
@click.option("--history", required=True, type=click.Path(path_type=Path))
@click.option("--smtp-port", type=click.IntRange(1, 65535), help="Take mail there as well.")
def world(host: str, port: int, history: Path, smtp_port: int | None) -> None:
    """Run the world alone ($LAB_CONTROL_TOKEN); `lab up` and compose call this."""
    from labapp.world.server import main as serve

    serve(host, port, history, secret("LAB_CONTROL_TOKEN"), smtp_port or 0)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", required=True, type=click.IntRange(1, 65535))
@click.option("--logs", "log_folder", required=True, type=click.Path(path_type=Path))
@click.option("--default-app", default="", help="Module of the live worker.")
@click.option("--default-path", default="", help="Folder of that module.")
def node(host: str, port: int, log_folder: Path, default_app: str, default_path: str) -> None:
    """Run one node alone ($LAB_CONTROL_TOKEN, $LAB_BROKER_URL, $LAB_WORLD_URL)."""
    from labapp.node.server import main as serve

    token = secret("LAB_CONTROL_TOKEN")
    serve(host, port, log_folder, token, default_app, default_path)


@main.command()
@click.argument("name")
def container(name: str) -> None:
    """Run one service of docker-compose.yml; the image's entry point."""
    from labapp.stack.container import main as become

    become(name)


@main.command(hidden=True)
@click.argument("fault")
@click.argument("node", type=int, default=0)
@click.option("--local", is_flag=True, help="Strike the process, as ever, not the container.")
def outside(fault: str, node: int, local: bool) -> None:
    """One experiment whose fault somebody else strikes (scripts/boundaries.py)."""
    from labapp.lab.outside import run

    run(fault, node, local=local)


@main.group(name="dead-letters")
@click.option("--rabbitmq", is_flag=True, help="Those of RabbitMQ's dead-letter exchange.")
@click.option("--queue", default="", metavar="NAME", help="Their queue there; dead_letters.")
@click.pass_context
def dead_letters(context: click.Context, rabbitmq: bool, queue: str) -> None:
    """What the live worker put aside (key dead_letters): look, send again, throw away."""
    from labapp.lab.dead_letters_cli import Where

    context.obj = Where(rabbitmq, queue)


@dead_letters.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def list_letters(where: Where, as_json: bool) -> None:
    """Every dead letter: its id, its call, and why it failed."""
    from labapp.lab.dead_letters_cli import listing

    click.echo(listing(where, as_json))


@dead_letters.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def show(where: Where, name: str, as_json: bool) -> None:
    """One dead letter, by id (its beginning is enough) or by order."""
    from labapp.lab.dead_letters_cli import one

    click.echo(one(where, name, as_json))


@dead_letters.command()
@click.argument("names", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All of them.")
@click.pass_obj
def replay(where: Where, names: tuple[str, ...], every: bool) -> None:
    """Send their tasks again; no letter is lost on the way."""
    from labapp.lab.dead_letters_cli import replayed

    for line in replayed(where, names, every):
        click.echo(line)


@dead_letters.command()
@click.argument("names", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All of them.")
@click.pass_obj
def discard(where: Where, names: tuple[str, ...], every: bool) -> None:
    """Throw them away."""
    from labapp.lab.dead_letters_cli import discarded

    for line in discarded(where, names, every):
        click.echo(line)


@main.command()
@click.argument("stage")
@click.option(
    "--answers",
    default="",
    help="exercises, solutions or a folder; by default what $LAB_ANSWERS says, else exercises.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def check(stage: str, answers: str, as_json: bool) -> None:
    """Check a stage's answers: exit status 0 passed, 1 not yet, 2 could not run."""
    from labapp.course.check import main as run

    sys.exit(run(stage, answers, as_json))


@main.command(name="next")
def next_() -> None:
    """What to do next."""
    from labapp.course.loop import next_text

    click.echo(next_text())


@main.command()
@click.argument("stage", default="")
def watch(stage: str) -> None:
    """Check now and at each save, until it passes; Ctrl-C ends it."""
    from labapp.course.watch import watch as run

    sys.exit(run(stage))


@main.command()
@click.argument("stage", default="")
@click.option("--again", is_flag=True, help="Those given so far.")
def hint(stage: str, again: bool) -> None:
    """One more hint for a stage; for the next one if none is named."""
    from labapp.course.loop import hint_text

    click.echo(hint_text(stage, again))


@main.command()
@click.argument("stage", default="")
@click.option("--all", "every", is_flag=True, help="All exercises; progress is forgotten.")
def reset(stage: str, every: bool) -> None:
    """Put an exercise's starter back; a copy of yours is kept."""
    from labapp.course.reset import reset as run
    from labapp.course.reset import reset_all

    if bool(stage) == every:
        raise LabError("reset which stage?", hint="`lab reset NN`, or `lab reset --all`")
    click.echo("\n".join(reset_all() if every else run(stage)))


@main.command()
@click.argument("stage")
def diff(stage: str) -> None:
    """Yours against the solution, once you have passed."""
    from labapp.course.loop import diff as run

    colours = {"-": "red", "+": "green", "@": "cyan"}
    for line in run(stage):
        click.secho(line, fg=colours.get(line[:1]))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def progress(as_json: bool) -> None:
    """What you have passed, and how."""
    from labapp.course.loop import progress_json, progress_text

    click.echo(json.dumps(progress_json(), indent=2) if as_json else progress_text())


@main.command()
@click.argument("stages", nargs=-1)
@click.option("--run", is_flag=True, help="Run answers and notebooks, too: minutes, and a lab.")
def verify(stages: tuple[str, ...], run: bool) -> None:
    """Hold the course against its rules: exit status 0 all is well, 1 problems, 2 could not run.

    Stages (or "cases") say whose answers and notebooks --run runs; all if none is named."""
    from functools import partial

    from labapp.course.verify.command import main as ask

    sys.exit(ask(stages, run, click.echo, partial(click.echo, err=True)))


@main.command()
@click.argument("stage")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="The file; build/slides/NN_name.html if not given.",
)
def slides(stage: str, output: Path | None) -> None:
    """A lesson (02, 02a, a case's name) as slides: one HTML file that needs no network."""
    from labapp.course.places import project_root
    from labapp.course.slides import write

    click.echo(write(project_root(), stage, output))
