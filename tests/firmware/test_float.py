"""A float export computes what the reference computes, within 1e-5, and the same bits on every machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from firmware_float_programs import PROGRAMS

from firmware_export.emulators import EMULATORS, Emulator
from firmware_export.verify import Exported, checksums_on, verify

STEPS = 200
SAME_BITS = [name for name in EMULATORS if name != "atmega328p"]  # it has the code of the larger one, and less room


@pytest.mark.parametrize("name", PROGRAMS)
def test_within_the_tolerance_of_the_reference(
    name: str, machine: Callable[[str], Emulator], exported: Callable[..., Exported]
) -> None:
    report = verify(exported(PROGRAMS[name], name), machine("host"), steps=STEPS)
    assert report.equal, report.difference


@pytest.mark.parametrize("name", ["gru", "lstm", "unary", "binary"])
def test_the_same_bits_on_every_machine(
    name: str, machine: Callable[[str], Emulator], exported: Callable[..., Exported]
) -> None:
    export = exported(PROGRAMS[name], name)
    sums = {other: checksums_on(export, machine(other), 40) for other in SAME_BITS}
    assert len(set(sums["host"])) > 1
    assert all(own == sums["host"] for own in sums.values()), sums
