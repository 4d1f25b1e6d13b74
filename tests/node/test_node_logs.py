"""A node that has run many experiments does not fill the disk with their logs."""

from __future__ import annotations

import os
from pathlib import Path

from labapp.node.server import KEPT_LOGS, forget_old_logs


def test_a_node_keeps_the_newest_logs_only(tmp_path: Path) -> None:
    for number in range(KEPT_LOGS + 3):
        log = tmp_path / f"w{number}.log"
        log.touch()
        os.utime(log, (number, number))
    forget_old_logs(tmp_path)
    left = {log.name for log in tmp_path.iterdir()}
    assert left == {f"w{number}.log" for number in range(3, KEPT_LOGS + 3)}


def test_what_a_killed_node_left_of_its_workers_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "w1.tmp" / "pymp-x").mkdir(parents=True)
    (tmp_path / "w1.log").touch()
    forget_old_logs(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["w1.log"]


def test_an_empty_folder_of_logs_is_fine(tmp_path: Path) -> None:
    forget_old_logs(tmp_path)
