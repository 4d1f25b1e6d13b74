"""Flower of labs in folders of their own: side by side, far down, and after kill -9."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import psutil
from flower_bench import Flower, send_by_hand

if TYPE_CHECKING:
    from conftest import Lab

DEEP = "d" * 120  # longer than the address of a Unix socket may be


def test_two_labs_side_by_side_see_their_own_tasks(labs: Callable[..., Lab]) -> None:
    one, two = Flower(labs("one").up("--no-browser")), Flower(labs("two").up("--no-browser"))
    assert one.socket != two.socket
    first, second = send_by_hand(one.stack, "order-1"), send_by_hand(two.stack, "order-1")
    one.wait_seen(first)
    two.wait_seen(second)
    assert (one.tasks(), two.tasks()) == (first, second)
    foreign = one.ask("metrics", Authorization=f"token {two.token}")
    assert foreign.status == 302


def test_a_lab_far_down_has_flower_too_and_kill_9_leaves_no_folder_behind(
    labs: Callable[..., Lab],
    kill: Callable[[int | None], None],
    gone: Callable[[list[psutil.Process]], None],
) -> None:
    lab = labs(DEEP)
    flower = Flower(lab.up("--no-browser"))
    assert flower.get("metrics").status == 200
    assert not flower.socket.is_relative_to(lab.home)
    family = lab.family()
    kill(flower.stack.pid)
    gone(family)
    assert flower.socket.exists()
    assert "cleaned up" in lab("down").stdout
    assert not flower.socket.parent.exists()
