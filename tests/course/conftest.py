"""The course's tests check answers on the session's stack, as a learner would."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from loop_bench import Project

from labapp.stack.home import PROGRESS_VARIABLE
from labapp.stack.state import Stack


@pytest.fixture
def lab_here(stack: Stack) -> Iterator[Stack]:
    """The session's stack, found through the environment, by this process and by commands.

    For one test only: the next one in this process may be about a lab that does not run."""
    described = {
        "LAB_BROKER_URL": stack.broker_url(0),
        "LAB_WORLD_URL": stack.world_url,
        "LAB_NODE_URLS": ",".join(stack.node_urls),
        "LAB_CONTROL_TOKEN": stack.control_token,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("LAB_")]:
            if name != PROGRESS_VARIABLE:
                patch.delenv(name)
        for name, value in described.items():
            patch.setenv(name, value)
        yield stack


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A copy of the course in which nothing was done yet."""
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder)
