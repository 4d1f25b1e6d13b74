"""Commands of the engine, for containers outside of the compose stack."""

from __future__ import annotations

from compose_bench import ROOT, run


def docker(*arguments: str, timeout: float = 180.0) -> str:
    """A command of the engine's, which must succeed; its standard output."""
    done = run(["docker", *arguments], ROOT, timeout=timeout)
    assert done.returncode == 0, f"{' '.join(arguments)}:\n{done.stdout[-4000:]}\n{done.stderr}"
    return done.stdout


def remove(name: str) -> None:
    """Remove the container of this name, with its volumes; none is fine."""
    run(["docker", "rm", "--force", "--volumes", name], ROOT)


def remove_image(name: str) -> None:
    """Remove the image of this name; none is fine."""
    run(["docker", "image", "rm", "--force", name], ROOT)
