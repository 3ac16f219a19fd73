"""Integer products, reductions, normalisation, choices and nets of them: exported C gives the reference's integers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from int8_feature_programs import PROGRAMS
from long_memory import complex_recurrence, dense_recurrence
from pooling_models import CHANNELS, pooling
from unquantized_programs import PROGRAMS as NETS
from unquantized_programs import sample
from written_out_cells import KINDS, written_out

import edgernn
from edgernn.program.program import Program
from firmware_export.emulators import Emulator
from firmware_export.verify import Exported, host_run, verify

MODELS = Path(__file__).parents[1] / "models"
WATCH = MODELS / "watch"
POOLING: dict[str, tuple[Callable[[], Program], str]] = {
    "attention": (lambda: edgernn.load(MODELS / "made" / "pool_attention_legacy.onnx"), "w8a16"),
    "product": (lambda: edgernn.load(MODELS / "made" / "pool_product_legacy.onnx"), "w8a8"),
    "look-ahead": (lambda: pooling(heads=2, look_ahead=2), "w8a16"),
    "windows": (lambda: pooling(look_ahead=1).with_window(20, 6), "w8a8"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_operation(name: str, machine: Callable[[str], Emulator], exported: Callable[..., Exported]) -> None:
    export = exported(PROGRAMS[name], "model")
    for form in ("host", "cortex-m4", "rv32imc", "atmega328p"):
        report = verify(export, machine(form), steps=100)
        assert report.equal, f"{form}: {report.difference}"


@pytest.mark.parametrize("kind", KINDS)
def test_wide_states_that_are_written_out(
    kind: str, machine: Callable[[str], Emulator], exported: Callable[..., Exported]
) -> None:
    program = written_out(kind, slowness=0.001)
    X = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    export = exported(edgernn.quantize(program, X, states="s32", count_size=0.001))
    for form in ("host", "cortex-m4", "rv32imc", "atmega328p"):
        report = verify(export, machine(form), steps=300)
        assert report.equal, f"{form}: {report.difference}"


@pytest.mark.parametrize("make", [dense_recurrence, complex_recurrence])
def test_matrices_of_long_memory(
    make: Callable[[int, float], Program], machine: Callable[[str], Emulator], exported: Callable[..., Exported]
) -> None:
    X = np.random.default_rng(0).normal(size=(300, 1)).astype(np.float32)
    export = exported(edgernn.quantize(make(1, 0.999), X, count_size=0.001))
    for form in ("host", "cortex-m0", "cortex-m4", "cortex-m55", "rv32imc", "atmega328p"):
        report = verify(export, machine(form), steps=300)
        assert report.equal, f"{form}: {report.difference}"


@pytest.mark.parametrize("name", NETS)
def test_nets_of_every_kind(name: str, machine: Callable[[str], Emulator], exported: Callable[..., Exported]) -> None:
    export = exported(edgernn.quantize(NETS[name](), sample(name), operands="w8a8", count_size=0.001))
    for form in ("host", "cortex-m4", "rv32imc"):
        report = verify(export, machine(form), steps=100)
        assert report.equal, f"{form}: {report.difference}"


@pytest.mark.parametrize("name", POOLING)
def test_softmax_over_time(name: str, machine: Callable[[str], Emulator], exported: Callable[..., Exported]) -> None:
    make, operands = POOLING[name]
    calibration = np.random.default_rng(0).standard_normal((400, CHANNELS)).astype(np.float32)
    export = exported(edgernn.quantize(make(), calibration, operands=operands, count_size=0.001))
    for form in ("host", "cortex-m4", "rv32imc", "atmega328p"):
        report = verify(export, machine(form), steps=100)
        assert report.equal, f"{form}: {report.difference}"


@pytest.mark.parametrize("name", NETS)
def test_operations_in_float_among_integers(
    name: str, machine: Callable[[str], Emulator], exported: Callable[..., Exported]
) -> None:
    program = NETS[name]()
    kept = [operation.name for operation in program.operations][::3]
    export = exported(edgernn.quantize(program, sample(name), keep_float=kept, count_size=0.001))
    for form in ("host", "cortex-m4"):
        report = verify(export, machine(form), steps=100)
        assert report.equal, f"{form}: {report.difference}"
    wrong = {output: 1.5 * frames for output, frames in host_run(export, 100).items()}
    assert not verify(export, machine("host"), steps=100, expected=wrong).equal


def watch_net(name: str, operands: str) -> Program:
    """A trained net, calibrated on a few recordings of each exercise."""
    with np.load(WATCH / "calibration.npz") as arrays:
        calibration = np.split(arrays["samples"], arrays["interval_start"][1:])[::9]
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
