"""Exported programs with schedules, rings, loops and reductions compute what the reference computes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from firmware_step_programs import INTEGER_PROGRAMS, PROGRAMS

from firmware_export.emulators import Emulator
from firmware_export.verify import Exported, checksums_on, verify

STEPS = 200
SAME_BITS = ("host", "cortex-m4", "rv32imc", "atmega2560")


@pytest.mark.parametrize("name", PROGRAMS)
def test_within_the_tolerance_of_the_reference(
    name: str, machine: Callable[[str], Emulator], exported: Callable[..., Exported]
) -> None:
    report = verify(exported(PROGRAMS[name], name), machine("host"), steps=STEPS)
    assert report.equal, report.difference


@pytest.mark.parametrize("name", ["elements", "reductions", "ids", "running", "delayed", "strided", "looped"])
def test_the_same_bits_on_every_machine(
    name: str, machine: Callable[[str], Emulator], exported: Callable[..., Exported]
) -> None:
    export = exported(PROGRAMS[name], name)
    sums = {other: checksums_on(export, machine(other), 70) for other in SAME_BITS}
    assert len(set(sums["host"])) > 1
    assert all(own == sums["host"] for own in sums.values()), sums


@pytest.mark.parametrize("operands", INTEGER_PROGRAMS)
def test_integers_are_those_of_the_reference(
    operands: str, machine: Callable[[str], Emulator], exported: Callable[..., Exported]
) -> None:
    program = INTEGER_PROGRAMS[operands]
    assert program.takes_counts
    export = exported(program, operands)
    for name in SAME_BITS:
        report = verify(export, machine(name), steps=STEPS)
        assert report.equal, f"{name}: {report.difference}"
