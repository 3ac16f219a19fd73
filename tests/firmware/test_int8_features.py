"""Integer products, reductions, normalisation, choices and nets of them: exported C gives the reference's integers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import int8_feature_programs as programs
import numpy as np
import pytest
from unquantized_programs import PROGRAMS as NETS
from unquantized_programs import sample
from written_out_cells import KINDS, written_out

import edgernn
from edgernn.program import Program
from firmware_export.emulators import Emulator
from firmware_export.verify import Exported, verify

WATCH = Path(__file__).parents[1] / "models" / "watch"
PROGRAMS: dict[str, Program] = {
    "grouped-16": programs.grouped(2, 5, 9, 16),
    "grouped-8": programs.grouped(1, 3, 12, 8),
    "matmul": programs.matmul(2, 2, 7, 3, False, 16),
    "matmul-transposed": programs.matmul(1, 2, 9, 4, True, 8),
    "sum": programs.reduce("Sum", (2, 5, 3), 1),
    "most": programs.reduce("Min", (5, 6), 1),
    "running-mean": programs.running("Mean", 5, count=(1 << 40) - 50, bits=7),
    "running-mean-begins": programs.running("Mean", 5),
    "running-sum": programs.running("Sum", 5, count=100, bits=3),
    "running-most": programs.running("Max", 5),
    "layer-norm": programs.layer_norm(2, 13, 1000, 11),
    "layer-norm-epsilon": programs.layer_norm(1, 9, 1 << 45, 9),
    "choices": programs.choices(6),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_operation(name: str, machine: Callable[[str], Emulator], exported: Callable[..., Exported]) -> None:
    export = exported(PROGRAMS[name], "model")
    for form in ("host", "cortex-m4", "atmega328p"):
        report = verify(export, machine(form), steps=100)
        assert report.equal, f"{form}: {report.difference}"


@pytest.mark.parametrize("kind", KINDS)
def test_wide_states_that_are_written_out(
    kind: str, machine: Callable[[str], Emulator], exported: Callable[..., Exported]
) -> None:
    program = written_out(kind, slowness=0.001)
    X = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    export = exported(edgernn.quantize(program, X, states="s32", count_size=0.001))
    for form in ("host", "cortex-m4", "atmega328p"):
        report = verify(export, machine(form), steps=300)
        assert report.equal, f"{form}: {report.difference}"


@pytest.mark.parametrize("name", NETS)
def test_nets_of_every_kind(name: str, machine: Callable[[str], Emulator], exported: Callable[..., Exported]) -> None:
    export = exported(edgernn.quantize(NETS[name](), sample(name), operands="w8a8", count_size=0.001))
    for form in ("host", "cortex-m4", "rv32imc"):
        report = verify(export, machine(form), steps=100)
        assert report.equal, f"{form}: {report.difference}"


def watch_net(name: str, operands: str) -> Program:
    with np.load(WATCH / "calibration.npz") as arrays:
        calibration = np.split(arrays["samples"], arrays["interval_start"][1:])
    return edgernn.quantize(edgernn.load(WATCH / f"{name}.onnx"), calibration, operands=operands, count_size=1 / 1024)


def test_a_net_of_convolutions(machine: Callable[[str], Emulator], exported: Callable[..., Exported]) -> None:
    export = exported(watch_net("tcn", "w8a16"))
    for form in ("host", "cortex-m4", "rv32imc"):
        report = verify(export, machine(form), steps=200)
        assert report.equal, f"{form}: {report.difference}"


def test_a_fastgrnn_fits_an_uno(machine: Callable[[str], Emulator], exported: Callable[..., Exported]) -> None:
    export = exported(watch_net("fastgrnn", "w8a8"))
    for form in ("host", "cortex-m4", "rv32imc", "atmega328p"):
        report = verify(export, machine(form), steps=100, sized=form == "atmega328p")
        assert report.equal, f"{form}: {report.difference}"
    assert report.flash_bytes < 16 * 1024
    assert report.stack_bytes is not None
    assert report.ram_bytes + report.stack_bytes < 1536
