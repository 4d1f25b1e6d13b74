"""Make .venv from requirements.lock. Needs nothing but Python's standard library.

With $WHEELS, a folder filled by `pip download`, pip takes the packages from there and asks no
network: `make venv WHEELS=wheels`.

A stamp with the hash of everything that goes in makes the second call instant. The stamp is
written last, so that an interrupted set-up is done again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / ".lab-stamp"
OLDEST = (3, 11)
WHEELS = "WHEELS"
DOWNLOAD = "pip download --no-deps --only-binary :all: --require-hashes -r requirements.lock -d"


class SetupError(Exception):
    """One line that says what is wrong and how to mend it."""


def stamp_of_inputs() -> str:
    """A hash that changes when .venv must be made again."""
    import tomllib  # not there before 3.11; check_python has its say first

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    digest = hashlib.sha256(f"{ROOT} {json.dumps(project, sort_keys=True)}".encode())
    digest.update((ROOT / "requirements.lock").read_bytes())
    return digest.hexdigest()


def is_up_to_date() -> bool:
    """True if .venv was made from exactly these inputs and its Python still starts."""
    python = VENV / "bin" / "python"
    return STAMP.is_file() and python.exists() and STAMP.read_text().strip() == stamp_of_inputs()


def check_python() -> None:
    """Raise SetupError where this Python cannot make the environment."""
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        raise SetupError(
            f"Python 3.11 or newer is needed, {sys.executable} is {found}: "
            "install a newer one, then `make venv PYTHON=python3.11`"
        )
    missing = [m for m in ("venv", "ensurepip") if importlib.util.find_spec(m) is None]
    if missing:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise SetupError(
            f"this Python has no {' and no '.join(missing)} module: on Debian and Ubuntu "
            f"`sudo apt-get install python{version}-venv`, then `make venv` again"
        )


def source() -> list[str]:
    """Where pip looks for packages: as it always does, or in $WHEELS and nowhere else.

    Raises:
        SetupError: that is no folder, or there are no wheels in it.
    """
    given = os.environ.get(WHEELS)
    if not given:
        return []
    folder = Path(given).resolve()
    if not any(folder.glob("*.whl")):
        what = "has no wheels in it" if folder.is_dir() else "is no folder"
        raise SetupError(f"WHEELS={given} {what}: where there is a network, `{DOWNLOAD} {given}`")
    return ["--no-index", "--find-links", str(folder)]


def step(text: str, command: list[str], again: str = "make venv") -> None:
    """Run one command quietly; one line of progress with its seconds.

    Args:
        text: what it does, as in "could not ...".
        command: the command.
        again: what to run once its failure is mended.

    Raises:
        SetupError: the command failed; its output is printed before.
    """
    print(f"  {text} ...", end="", flush=True)
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    if done.returncode != 0:
        print(" failed", flush=True)
        print("\n".join((done.stdout + done.stderr).splitlines()[-20:]), file=sys.stderr)
        raise SetupError(f"could not {text}; the output is above, mend it and run `{again}` again")
    print(f" {seconds:.1f} s", flush=True)


def build() -> None:
    """Create the environment anew and install the lock, then the project itself."""
    found_in = source()  # has its say before anything is removed
    if VENV.is_symlink() or VENV.exists():
        shutil.rmtree(VENV)
    python = str(VENV / "bin" / "python")
    # `pip --isolated` would also ignore where a company keeps its package index, so not that.
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-input", *found_in]
    step("create .venv", [sys.executable, "-m", "venv", str(VENV)])
    step(
        "install the locked packages",
        [*install, "--require-hashes", "--only-binary", ":all:", "-r", "requirements.lock"],
    )
    step("install the lab itself", [*install, "--no-build-isolation", "--editable", "."])
    STAMP.write_text(stamp_of_inputs() + "\n")


def main() -> int:
    """Exit status: 0 ready, 2 told in one line why not, 130 interrupted."""
    try:
        check_python()
        if is_up_to_date():
            return 0
        print(f"setting up {os.path.relpath(VENV)} (once):", flush=True)
        build()
    except (SetupError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nlab: set-up interrupted; `make venv` begins again", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
