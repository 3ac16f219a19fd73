"""What the firmware tests share: exports in temporary folders, and machines that are installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgernn.program.program import Program
from firmware_export import export
from firmware_export.emulators import EMULATORS, Emulator
from firmware_export.host import make_golden
from firmware_export.verify import Exported, open_export


@pytest.fixture(scope="session")
def machine(needs_tool: Callable[[str], str]) -> Callable[[str], Emulator]:
    """An emulated machine whose compiler and emulator are installed."""

    def find(name: str) -> Emulator:
        for tool in EMULATORS[name].tools:
            needs_tool(tool)
        return EMULATORS[name]

    return find


@pytest.fixture
def exported(tmp_path: Path) -> Callable[..., Exported]:
    """The export of a program, as `edgernn verify` opens it."""

    def make(program: Program, name: str = "model", target: str = "c") -> Exported:
        directory = tmp_path / name
        export(program, directory, target, make_golden(program, name), name=name, command="edgernn export")
        return open_export(directory)

    return make
