"""Make .venv ready for the browser tests, from requirements-browser.lock; needs .venv.

Playwright is in a lock of its own because nothing else needs it: the lab's image and a learner's
.venv stay as small as they are. Its own browsers are not downloaded: the tests use a Chromium that
is there, and without one this says so before it installs anything.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys

from setup_venv import ROOT, VENV, SetupError, step

LOCK = ROOT / "requirements-browser.lock"
STAMP = VENV / ".browser-stamp"
CHROMIUM = "LAB_CHROMIUM"
"""Environment variable with the path of a Chromium, or of Chrome."""
KNOWN = ("/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str:
    """Path of $LAB_CHROMIUM, or of the first of KNOWN that is there.

    Raises:
        SetupError: there is none.
    """
    chosen = os.environ.get(CHROMIUM)
    for name in (chosen,) if chosen else KNOWN:
        if found := shutil.which(name):
            return found
    if chosen:
        raise SetupError(f"${CHROMIUM} is {chosen}, and that is no program: name a Chromium")
    raise SetupError(
        "make test-browser needs Chromium: on Debian `sudo apt-get install chromium`, "
        f"elsewhere set {CHROMIUM} to one"
    )


def install() -> None:
    """Install the lock into .venv, if what is there is not from exactly this one.

    Raises:
        SetupError: it could not be installed.
    """
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if STAMP.is_file() and STAMP.read_text().strip() == digest:
        return
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input"]
    locked = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", LOCK.name]
    step("install Playwright", [*pip, *locked], "make test-browser")
    STAMP.write_text(digest + "\n")


def main() -> int:
    """Exit status: 0 ready, 2 told in one line why not, 130 interrupted."""
    try:
        find_chromium()
        install()
    except (SetupError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nlab: set-up interrupted; `make test-browser` begins again", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
