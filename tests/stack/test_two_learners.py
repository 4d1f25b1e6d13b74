"""Two learners in one folder: of one user, of two users, and at the same moment."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from labapp.stack.home import PACKAGE_ROOT
from labapp.stack.testing import LAB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Lab

# root may enter everything, unless it gives up these
OWNERSHIP = "-dac_override,-dac_read_search"
NOT_MIGHTY = ("setpriv", f"--bounding-set={OWNERSHIP}", f"--inh-caps={OWNERSHIP}")
AS_ANYBODY = NOT_MIGHTY if os.geteuid() == 0 else ()


@pytest.fixture(name="forbidden")
def _forbidden(lab: Lab) -> Iterator[Lab]:
    """A lab whose folder may not be entered, as another user's may not."""
    lab.home.mkdir()
    lab.home.chmod(0)
    yield lab
    lab.home.chmod(0o700)


@pytest.mark.parametrize(
    "command",
    ["up --headless", "up --detach --headless", "status", "down", "logs", "check 02", "doctor"],
)
def test_a_folder_in_which_another_user_has_a_lab(forbidden: Lab, command: str) -> None:
    done = forbidden.run(*AS_ANYBODY, *LAB, *command.split())
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.splitlines() == [
        f"lab: the lab in {forbidden.home} is another user's",
        "     use a copy of the project, or set LAB_HOME to a folder of your own",
    ]


def test_two_who_start_at_the_same_moment_share_one_lab(lab: Lab) -> None:
    with ThreadPoolExecutor() as both:
        found = list(both.map(lambda _: lab("up", "--detach", "--headless"), range(2)))
    told = [done.stdout + done.stderr for done in found]
    assert [done.returncode for done in found] == [0, 0], told
    starters = [text for text in told if "lab: ready after" in text]
    others = [text for text in told if f"already running here (pid {lab.state().pid})" in text]
    assert (len(starters), len(others)) == (1, 1), told


WORK = """
import sys
sys.path.insert(0, "solutions/00_start_here")
from shop import charge
from labapp import charge_of, connect, kill_worker, orders

fault = kill_worker(after=charge_of("order-3"), before=charge_of("order-4"))
lab = connect()
for _ in range(3):
    print(lab.run(charge, orders(10), worker=lab.worker(task_acks_late=True), fault=fault).verdict)
"""


def test_two_who_crash_workers_at_the_same_time_do_not_see_each_other(lab: Lab) -> None:
    lab.up()
    command = (sys.executable, "-c", WORK)
    with ThreadPoolExecutor() as both:
        one, other = both.map(lambda _: lab.run(*command, cwd=PACKAGE_ROOT), range(2))
    assert (one.returncode, other.returncode) == (0, 0), one.stderr + other.stderr
    assert one.stdout == other.stdout
    assert one.stdout.count("duplicated: order-3\n") == 3, one.stdout
