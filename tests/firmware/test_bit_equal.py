"""An exported integer program gives the integers of the NumPy reference, on every machine, for every operator."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from firmware_programs import INT8_PROGRAMS, OPERANDS, int8_cell
from firmware_reference import long_outputs
from small_programs import cell_program, make, recording, uniform

from edgernn.program.operations import Dense
from edgernn.program.program import Program
from edgernn.quantizer import quantize
from firmware_export.emulators import EMULATORS, Emulator
from firmware_export.generate import CModel
from firmware_export.host import host_outputs, random_inputs
from firmware_export.verify import Exported, verify

STEPS, LONG_STEPS, LONGEST_STEPS = 1000, 10_000, 100_000
CELLS = [name for name in INT8_PROGRAMS if not name.startswith(("wild-", "feedforward-", "window"))]  # of a quantizer
# machines with a form of the kernels of their own, or plain C, take all programs; the others, which run the same forms
# again, take the cells and a few more
LONG_FORMS, FORMS = ("host", "cortex-m4", "rv32imc"), ("cortex-m0", "cortex-m55", "atmega328p")
FEW = (
    *("rnn-w8a16", "rnn_relu-w8a8", "gru-w8a8", "gru_reset_first-w8a16", "gru_reset_first-w8a8", "lstm_coupled-w8a8"),
    *("gru-wide", "gru_reset_first-wide", "lstm_peephole-wide", "wild-gru-w8a16", "wild-lstm-w8a8"),
    *("wild-lstm_peephole-wide", "feedforward-w8a16"),
)
LONGEST = ("rnn-w8a8", "gru-w8a16", "gru_reset_first-wide", "lstm-w8a8", "lstm-wide")
OTHERS = [name for name in EMULATORS if name not in LONG_FORMS + FORMS]


@cache
def expected_outputs(name: str, steps: int) -> dict[str, np.ndarray]:
    program = INT8_PROGRAMS[name]
    return long_outputs(program, random_inputs(CModel(program, name), steps))


def verify_on(export: Exported, emulator: Emulator, name: str, steps: int) -> None:
    report = verify(export, emulator, steps=steps, expected=expected_outputs(name, steps))
    assert report.equal, f"{emulator.name}: {report.difference}"


@pytest.mark.parametrize("name", INT8_PROGRAMS)
def test_every_operator_on_each_form(
    name: str, machine: Callable[[str], Emulator], exported: Callable[..., Exported]
) -> None:
    export = exported(INT8_PROGRAMS[name], name)
    for form in LONG_FORMS:
        steps = LONGEST_STEPS if name in LONGEST else LONG_STEPS if name in CELLS else STEPS
        verify_on(export, machine(form), name, steps)
    for form in FORMS:
        verify_on(export, machine(form), name, STEPS)


@pytest.mark.parametrize("name", OTHERS)
def test_every_machine(name: str, machine: Callable[[str], Emulator], exported: Callable[..., Exported]) -> None:
    for program in FEW:
        verify_on(exported(INT8_PROGRAMS[program], program), machine(name), program, STEPS)


@pytest.mark.timeout(600)
def test_ten_thousand_steps_of_a_gru_16_on_an_uno(
    machine: Callable[[str], Emulator], exported: Callable[..., Exported]
) -> None:
    program = int8_cell("gru", "w8a8", K=6, H=16)
    expected = long_outputs(program, random_inputs(CModel(program, "model"), LONG_STEPS))
    report = verify(exported(program), machine("atmega328p"), steps=LONG_STEPS, expected=expected)
    assert report.equal, report.difference


@pytest.mark.parametrize("operands", OPERANDS)
@pytest.mark.parametrize("columns", [516, 1028])
def test_rows_longer_than_a_byte_counts(
    columns: int, operands: str, machine: Callable[[str], Emulator], exported: Callable[..., Exported]
) -> None:
    """More products than sums of 24 bits hold on AVR, and more blocks of four than a byte counts."""
    rng = np.random.default_rng(columns)
    weights = {"A": uniform(rng, (columns, 3), 1.0), "D": uniform(rng, (5, columns), 0.02)}
    operations = (
        Dense(name="spread", inputs=("x",), outputs=("a",), W="A"),
        Dense(name="gather", inputs=("a",), outputs=("y",), W="D"),
    )
    program = quantize(make(operations, weights, "y", 3, []), recording(3), operands=operands, count_size=0.01)
    for name in ("cortex-m4", "cortex-m55", "atmega2560"):
        report = verify(exported(program), machine(name), steps=40)
        assert report.equal, f"{name}: {report.difference}"


def test_the_reference_of_long_streams_is_the_reference() -> None:
    for name in ("lstm-wide", "wild-gru_reset_first-w8a8", "feedforward-w8a16", "window"):
        inputs = random_inputs(CModel(INT8_PROGRAMS[name], name), 400)
        expected = host_outputs(INT8_PROGRAMS[name], inputs)
        np.testing.assert_array_equal(long_outputs(INT8_PROGRAMS[name], inputs, 50)["y"], expected["y"])


def test_a_difference_is_found_at_its_step(
    machine: Callable[[str], Emulator], exported: Callable[..., Exported]
) -> None:
    """The export computes with one weight changed: the report names a step, a number and both values."""
    export = exported(INT8_PROGRAMS["gru-w8a16"])
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
    assert "on the host" in report.difference


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
    for name in LONG_FORMS + FORMS:
        report = verify(export, machine(name), steps=200)
        assert report.equal, f"{name}: {report.difference}"
