"""The set-up refuses a machine that cannot work, in a plain sentence, before it downloads anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


def set_up(folder: Path, function: str, **programs: str) -> subprocess.CompletedProcess[str]:
    """Call a function of tools/environment.sh where `programs` (name and script) come first on the PATH."""
    for name, script in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return subprocess.run(
        ["bash", "-c", f". {CHECKOUT}/tools/environment.sh; {function}"],
        env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "PYTHON": "chosen"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


GOOD = f'exec {sys.executable} "$@"'


def test_this_machine_is_good_enough(tmp_path: Path) -> None:
    done = set_up(tmp_path, 'check_machine "$(find_python)"', chosen=GOOD)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("programs", "message"),
    [
        ({"chosen": "exit 1"}, "needs Python 3.11 or newer"),
        ({"chosen": 'case "$2" in *struct*) exit 1;; esac'}, "use the 64-bit Raspberry Pi OS"),
        ({"chosen": 'case "$2" in *ensurepip*) exit 1;; esac'}, "apt-get install python3-venv"),
        ({"chosen": GOOD, "df": "echo head; echo disk 1000000 900000 102400 90% /"}, "there are 100 MB"),
    ],
    ids=["old", "32 bits", "no venv", "no space"],
)
def test_what_is_missing_is_named(programs: dict[str, str], message: str, tmp_path: Path) -> None:
    done = set_up(tmp_path, 'python=$(find_python) || exit; check_machine "$python"', **programs)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_nothing_is_installed_twice(tmp_path: Path) -> None:
    """An environment made from the same pyproject.toml is left alone; more extras than asked for are fine."""
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    program = tmp_path / ".venv" / "bin" / "edgernn"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    stamp = 'echo "[dev] $(cksum < pyproject.toml)" > .venv/installed;'
    done = set_up(tmp_path, f'{stamp} make_environment "" && make_environment "[dev]"', chosen="exit 1")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    done = set_up(tmp_path, f'{stamp} echo more >> pyproject.toml; make_environment ""', chosen="exit 1")
    assert "needs Python" in done.stderr
