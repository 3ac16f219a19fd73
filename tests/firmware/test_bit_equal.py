"""An exported integer program gives the integers of the NumPy reference, on every machine, for every operator."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from firmware_programs import every_int8_program, int8_cell
from small_programs import cell_program, recording

from edgernn.program import Program
from edgernn.quantizer import quantize
from firmware_export.emulators import EMULATORS, Emulator
from firmware_export.verify import Exported, verify

PROGRAMS = every_int8_program()
STEPS = 200
# the machines of each form of the kernels take all programs (AVR those with bytes), the others a few of each kind
EACH_FORM = ("host", "cortex-m4", "atmega328p")
FEW = ("lstm-w8a16", "gru-w8a8", "wild-gru-w8a16", "wild-lstm-w8a8", "wild-lstm_peephole-wide", "feedforward-w8a16")
SOAK_STEPS = 100_000


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_operator_on_each_form(
    name: str, machine: Callable[[str], Emulator], exported: Callable[..., Exported]
) -> None:
    export = exported(PROGRAMS[name], name)
    for form in EACH_FORM[:2] if "w8a16" in name else EACH_FORM:
        report = verify(export, machine(form), steps=STEPS)
        assert report.equal, f"{form}: {report.difference}"


@pytest.mark.parametrize("name", [name for name in EMULATORS if name not in EACH_FORM])
def test_every_machine(name: str, machine: Callable[[str], Emulator], exported: Callable[..., Exported]) -> None:
    for program in FEW:
        report = verify(exported(PROGRAMS[program], program), machine(name), steps=STEPS)
        assert report.equal, f"{program}: {report.difference}"


@pytest.mark.parametrize("operands", ["w8a16", "w8a8"])
@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_two_thousand_steps(
    kind: str, operands: str, machine: Callable[[str], Emulator], exported: Callable[..., Exported]
) -> None:
    report = verify(exported(int8_cell(kind, operands)), machine("cortex-m4"), steps=2000)
    assert report.equal, report.difference


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("operands", ["w8a16", "w8a8"])
@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_a_hundred_thousand_steps(
    kind: str, operands: str, machine: Callable[[str], Emulator], exported: Callable[..., Exported]
) -> None:
    export = exported(int8_cell(kind, operands))
    for name in ("host", "cortex-m4", "rv32imc"):
        report = verify(export, machine(name), steps=SOAK_STEPS)
        assert report.equal, f"{name}: {report.difference}"


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_steps_of_a_gru_16_on_an_uno(
    machine: Callable[[str], Emulator], exported: Callable[..., Exported]
) -> None:
    report = verify(exported(int8_cell("gru", "w8a8", K=6, H=16)), machine("atmega328p"), steps=SOAK_STEPS)
    assert report.equal, report.difference


def test_a_difference_is_found_at_its_step(
    machine: Callable[[str], Emulator], exported: Callable[..., Exported]
) -> None:
    """The export computes with one weight changed: the report names a step, a number and both values."""
    export = exported(PROGRAMS["gru-w8a16"])
    header = export.include / export.model.file
    text = header.read_text()
    begin = text.index("{", text.index("model_cell_constants[")) + 1
    scale, bias, rest = text[begin:].split(",", 2)
    header.write_text(f"{text[:begin]}{scale}, {int(bias) + 900},{rest}")
    report = verify(export, machine("host"), steps=50)
    assert not report.equal
    assert report.difference.startswith("self-test, step ")
    selftest = export.selftest.read_text().replace("return (int32_t)(0u + k);", "{}")
    export.selftest.write_text(selftest)
    report = verify(export, machine("host"), steps=50)
    assert not report.equal
    assert "on the desk" in report.difference


def window_of(steps: int, hop: int) -> Program:
    return int8_cell("gru", "w8a16").with_window(steps, hop)


@pytest.mark.parametrize(("steps", "hop"), [(1, 1), (5, 1), (7, 3), (4, 9)])
def test_windows_of_any_size(
    steps: int, hop: int, machine: Callable[[str], Emulator], exported: Callable[..., Exported]
) -> None:
    report = verify(exported(window_of(steps, hop)), machine("host"), steps=60)
    assert report.equal, report.difference


def test_a_program_without_counts_takes_and_gives_floats(
    machine: Callable[[str], Emulator], exported: Callable[..., Exported]
) -> None:
    program = quantize(cell_program("gru", 3, 8), recording(3))
    assert not program.takes_counts
    export = exported(program)
    assert "const float x[3], float y[4]" in export.model.signature("step")
    for name in EACH_FORM:
        report = verify(export, machine(name), steps=STEPS)
        assert report.equal, f"{name}: {report.difference}"
