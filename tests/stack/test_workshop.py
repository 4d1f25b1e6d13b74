"""What `lab doctor --workshop` sees without starting anything: each bad machine, and its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from labapp.stack import workshop
from labapp.stack.doctor import Finding

GOOD = {"celery": "5.7.0", "kombu": "5.7.0"}
NOW = 1_800_000_000.0
DAYS = 86_400.0
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without any; for tests to set some."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


def told(finding: Finding, mark: str, *words: str) -> None:
    """It has this mark, and says all of this in one line."""
    assert finding.mark == mark, finding
    assert "\n" not in str(finding)
    for word in words:
        assert word in finding.detail


def test_a_lock_file_is_read_with_its_markers() -> None:
    text = (
        "# a comment\n"
        "celery==5.7.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n"
        'pywin32==306 ; sys_platform == "win32" \\\n    --hash=sha256:22\n'
        'tool[extra]==1.0 ; python_full_version >= "3.11" \\\n    --hash=sha256:33\n'
    )
    assert workshop.locked(text) == {"celery": "5.7.0", "tool": "1.0"}


def test_every_locked_package_is_there() -> None:
    told(workshop.locked_finding(GOOD, lambda name: GOOD[name]), "ok", "all 2 packages")


def test_a_package_that_is_absent_is_named_with_both_ways_to_install_it() -> None:
    finding = workshop.locked_finding(GOOD, {"kombu": "5.7.0", "celery": ""}.__getitem__)
    told(finding, "missing", "celery not installed", "`make venv`", "WHEELS=wheels")
    assert finding.stops


def test_another_version_is_a_note_and_long_lists_are_short() -> None:
    many = {f"package-{number}": "1" for number in range(9)}
    told(workshop.locked_finding(many, lambda _: "2"), "note", "package-2 2", "and 6 more")


def test_a_folder_of_wheels_is_compared_with_the_lock(tmp_path: Path) -> None:
    (tmp_path / "celery-5.7.0-py3-none-any.whl").touch()
    told(workshop.wheels_finding(GOOD, tmp_path), "note", "kombu not in", "pip download")
    (tmp_path / "kombu-5.7.0-py3-none-any.whl").touch()
    told(workshop.wheels_finding(GOOD, tmp_path), "ok", "all 2 in")


@pytest.mark.parametrize(("free", "mark"), [(1_999_999_999, "missing"), (2_000_000_000, "ok")])
def test_two_gigabytes_of_memory_are_needed(free: int, mark: str) -> None:
    told(workshop.memory_finding(free), mark, "2.0 GB free")


def test_a_folder_in_which_nobody_may_write_is_named(tmp_path: Path) -> None:
    told(workshop.writing_finding([tmp_path]), "ok")
    unwritable = Path("/proc/self")  # not even root makes files there
    told(workshop.writing_finding([tmp_path, unwritable]), "missing", "/proc/self", "copy")


def test_a_clock_that_was_put_back_is_told() -> None:
    told(workshop.clock_finding(NOW, newest=NOW + 2 * DAYS, disk=NOW), "missing", "set the clock")
    told(workshop.clock_finding(NOW, newest=NOW + DAYS / 2, disk=NOW), "ok")  # a copy, a time zone


def test_a_clock_that_drifts_from_the_disk_is_told() -> None:
    told(workshop.clock_finding(NOW, newest=NOW, disk=NOW + 61), "note", "61 s", "wsl --shutdown")


def test_no_proxy_is_well(no_proxies: pytest.MonkeyPatch) -> None:
    told(workshop._proxies(), "ok", "none")


def test_a_proxy_that_leaves_loopback_alone_is_well(no_proxies: pytest.MonkeyPatch) -> None:
    no_proxies.setenv("HTTP_PROXY", "http://proxy.example:3128")
    no_proxies.setenv("NO_PROXY", "localhost,127.0.0.1")
    told(workshop._proxies(), "ok", "http_proxy leave 127.0.0.1 alone")


@pytest.mark.parametrize("exceptions", ["", "localhost", "127.0.0.0/8", ".example"])
def test_a_proxy_for_loopback_too_is_missing_an_exception(
    exceptions: str, no_proxies: pytest.MonkeyPatch
) -> None:
    no_proxies.setenv("http_proxy", "http://proxy.example:3128")
    no_proxies.setenv("no_proxy", exceptions)
    told(workshop._proxies(), "missing", "http_proxy", "export NO_PROXY=127.0.0.1,localhost")


def test_a_proxy_for_other_protocols_does_not_matter(no_proxies: pytest.MonkeyPatch) -> None:
    no_proxies.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    told(workshop._proxies(), "ok")


def test_a_socks_proxy_stops_every_task_even_with_an_exception(
    no_proxies: pytest.MonkeyPatch,
) -> None:
    no_proxies.setenv("ALL_PROXY", "socks5://proxy.example:1080")
    no_proxies.setenv("NO_PROXY", "127.0.0.1")
    told(workshop._proxies(), "missing", "all_proxy", "socksio", "unset it")


def test_this_machine_has_no_surprise_and_the_order_is_fixed() -> None:
    names = [finding.what for finding in workshop.examine_room()]
    assert names == ["locked", "wheels", "memory", "writing", "clock", "loopback", "proxies"]
