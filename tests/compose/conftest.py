"""One compose stack for all tests of containers; `make test-compose` runs them, `make test` not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from compose_bench import FILES, IMAGE, ROOT, Compose, copy_of_the_project, run
from docker_bench import remove_image

NAME = "lab-under-test"


@pytest.fixture(scope="session")
def engine() -> None:
    """An engine and Compose; without them these tests cannot run, and say so."""
    if shutil.which("docker") is None:
        pytest.fail("there is no docker command here: these tests need an engine", pytrace=False)
    done = run(["docker", "version"], ROOT)
    if done.returncode:
        pytest.fail(f"the engine does not answer: {done.stderr.strip()}", pytrace=False)


@pytest.fixture(scope="session")
def compose(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The stack, built from the project as it is here, and up."""
    folder = copy_of_the_project(tmp_path_factory.mktemp("project"))
    made = Compose(folder, NAME, FILES)
    try:
        made.start()
        yield made
    finally:
        made.close()
        remove_image(IMAGE)
