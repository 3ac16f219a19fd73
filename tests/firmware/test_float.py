"""A float export computes what the reference computes, within 1e-5, and the same bits on every machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from firmware_float_programs import PROGRAMS

from firmware_export import export
from firmware_export.emulators import EMULATORS, Emulator
from firmware_export.golden import Golden
from firmware_export.host import host_outputs
from firmware_export.verify import Exported, checksums_on, open_export, verify

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


@pytest.mark.parametrize("name", ["gru", "gru_reset_first", "lstm_peephole", "rnn", "rnn_relu", "clipped"])
def test_what_overflows_saturates_as_on_the_host(name: str, machine: Callable[[str], Emulator], tmp_path: Path) -> None:
    program, huge = PROGRAMS[name], np.array([3.4e38, -3.4e38, 3e38, -3e38], np.float32)
    X = np.random.default_rng(5).choice(huge, (12, 3))
    golden = Golden({"x": X}, host_outputs(program, {"x": X}))
    export(program, tmp_path / name, "c", golden, name=name, command="edgernn export")
    report = verify(open_export(tmp_path / name), machine("host"))
    assert report.equal, report.difference
