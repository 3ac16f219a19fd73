"""Exported programs with schedules, rings, loops and reductions compute what the reference computes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from firmware_step_programs import PROGRAMS

from firmware_export.emulators import Emulator
from firmware_export.verify import Exported, verify

STEPS = 200


@pytest.mark.parametrize("name", PROGRAMS)
def test_within_the_tolerance_of_the_reference(
    name: str, machine: Callable[[str], Emulator], exported: Callable[..., Exported]
) -> None:
    report = verify(exported(PROGRAMS[name], name), machine("host"), steps=STEPS)
    assert report.equal, report.difference
