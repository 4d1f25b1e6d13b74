"""The lab on Binder, as far as that can be had here: repo2docker's steps, Binder's command."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import httpx
import pytest
from compose_bench import ROOT, copy_of_the_project
from docker_bench import docker, remove, remove_image
from jupyter_bench import Jupyter, first_experiment

from labapp.stack.ports import Port
from labapp.stack.testing import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "lab-binder-under-test"
BASE, TOKEN = "/user/someone-1/", "binder-token"
# BinderHub's spawner gives every option under both names (binderspawner_mixin.py).
OPTIONS = (f"base_url={BASE}", f"token={TOKEN}", "trust_xheaders=True")
COMMAND = (
    *("jupyter-lab", "--ip=0.0.0.0", "--port=8888"),
    *(f"--{app}.{option}" for app in ("NotebookApp", "ServerApp") for option in OPTIONS),
)
VERSIONS = """
import importlib.metadata, pathlib, re

text = pathlib.Path("../requirements.lock").read_text()
lock = re.findall(r"^([\\w.-]+)==([^ ;]+) [^;]", text, re.M)
wrong = [name for name, version in lock if importlib.metadata.version(name) != version]
print(len(lock) > 100, wrong)
"""
BUILD_SECONDS, START_SECONDS = 1500.0, 180.0


@pytest.fixture(scope="module")
def image(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The project's image; Binder does not know of the .dockerignore outside of its folder."""
    folder = copy_of_the_project(tmp_path_factory.mktemp("binder"))
    (folder / ".dockerignore").unlink()
    recipe = str(folder / "tests/compose/binder.Dockerfile")
    try:
        docker("build", "--tag", NAME, "--file", recipe, str(folder), timeout=BUILD_SECONDS)
        yield NAME
    finally:
        remove_image(NAME)


@pytest.fixture(scope="module")
def binder(image: str) -> Iterator[Jupyter]:
    """JupyterLab as Binder starts it."""
    port = Port()
    number = port.number
    port.release()
    published = f"127.0.0.1:{number}:8888"
    prefix = f"JUPYTERHUB_SERVICE_PREFIX={BASE}"
    with_memory = ("--memory", "2g")  # what mybinder.org gives at most
    start = ("run", "--detach", "--init", "--name", NAME, *with_memory, "--publish", published)
    try:
        docker(*start, "--env", prefix, image, *COMMAND)
        with Jupyter(f"http://127.0.0.1:{number}{BASE}", TOKEN) as jupyter:
            wait_until(lambda: _answers(jupyter), "Binder's JupyterLab", START_SECONDS)
            yield jupyter
    finally:
        remove(NAME)


def _answers(jupyter: Jupyter) -> bool:
    try:
        return jupyter.client.get("api/status").status_code == 200
    except httpx.TransportError:
        return False


def test_repo2docker_finds_what_it_looks_for() -> None:
    folder = ROOT / "binder"
    assert {path.name for path in folder.iterdir()} == {
        *("postBuild", "requirements.txt", "runtime.txt", "start")
    }
    assert (folder / "runtime.txt").read_text() == "python-3.13\n"
    for name in ("postBuild", "start"):
        assert (folder / name).stat().st_mode & stat.S_IXUSR
        assert (folder / name).read_text().startswith("#!/bin/bash\n")


def test_what_is_installed_is_the_lock(binder: Jupyter) -> None:
    assert binder.run([VERSIONS]) == "True []\n"


def test_the_first_experiment_of_the_first_notebook(binder: Jupyter) -> None:
    cells, stored = first_experiment(ROOT)
    assert binder.run(cells) == stored


def test_the_first_notebook_passes(binder: Jupyter) -> None:
    command = ("pytest", "-q", "-p", "no:cacheprovider", "--no-stack", "--stage", "00", "notebooks")
    said = docker("exec", NAME, *command, timeout=600)
    assert " passed" in said
    assert "failed" not in said


def test_flower_is_behind_binders_token(binder: Jupyter) -> None:
    page = binder.client.get("flower/")
    assert page.status_code == 200
    assert f'src="{BASE}flower/static/' in page.text
    assert binder.client.get("flower/api/tasks").status_code == 200
    stranger = binder.without_token("flower/metrics")
    assert stranger.status_code in (302, 403)


def test_flower_is_in_the_launcher(binder: Jupyter) -> None:
    known = binder.client.get("server-proxy/servers-info").json()["server_processes"]
    assert "Flower" in [server["launcher_entry"]["title"] for server in known]


def test_a_lab_that_does_not_start_leaves_jupyterlab(image: str) -> None:
    said = docker(
        *("run", "--rm", "--env", "LAB_BROKER_SERVER=/nowhere", image, "jupyter-lab", "--version")
    )
    assert "lab: it did not start" in said
    assert said.splitlines()[-1].startswith("4.")
