"""Every piece of the C runtime compiles at every level of optimisation, and computes the same integers there."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import int8_feature_programs
import msgspec
import numpy as np
import pytest
from firmware_float_programs import PROGRAMS as FLOAT_PROGRAMS
from firmware_programs import INT8_PROGRAMS, with_decisions
from firmware_step_programs import INTEGER_PROGRAMS
from firmware_step_programs import PROGRAMS as STEP_PROGRAMS
from long_memory import dense_recurrence
from single_operations import program_of
from small_programs import cell_program, recording
from written_out_cells import written_out

import edgernn
from edgernn.program.operations import Unary
from edgernn.program.program import Program
from firmware_export import export, pieces
from firmware_export.emulators import EMULATORS, Emulator
from firmware_export.generate import CModel
from firmware_export.host import make_golden
from firmware_export.verify import Exported, host_run, open_export, verify

LEVELS = ("-Os", "-O1", "-O2", "-O3", "-Og")
# one of each instruction set: a Cortex-M0+ has that of the M0, an M7 that of the M4
COMPILERS = {
    **{
        cpu: ("arm-none-eabi-gcc", "-mthumb", f"-mcpu={cpu}", *flags, "-ffreestanding")
        for cpu, *flags in (
            ("cortex-m0",),
            ("cortex-m3",),
            ("cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
            ("cortex-m33", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"),
            ("cortex-m55", "-mfloat-abi=hard"),
        )
    },
    "avr": ("avr-gcc", "-mmcu=atmega2560"),
    "rv32imc": ("riscv64-unknown-elf-gcc", "-march=rv32imc", "-mabi=ilp32", "-ffreestanding"),
}
CELLS = ("gru-w8a16", "gru_reset_first-w8a8", "lstm-w8a16", "rnn_relu-w8a8", "feedforward-w8a16")
# chips with gcc's default of Arduino, PlatformIO and ESP-IDF; -O2 on AVR, which has -Os everywhere else
OTHER_LEVEL = {name: "-O2" if name.startswith("atmega") else "-Os" for name in EMULATORS if name != "host"}


def whole_runtime() -> dict[str, Program]:
    """Programs that need all pieces between them."""
    X = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    return {
        **{name: INT8_PROGRAMS[name] for name in (*CELLS, "gru-wide", "lstm-wide", "rnn-w8a16")},
        "decided": with_decisions(INT8_PROGRAMS["gru-w8a8"]),
        "decided_float": with_decisions(FLOAT_PROGRAMS["gru"]),
        "floats": edgernn.quantize(cell_program("gru"), recording(3)),
        **{f"float_{name}": FLOAT_PROGRAMS[name] for name in ("clipped", "rnn")},
        **{name: STEP_PROGRAMS[name] for name in ("reductions", "elements", "running", "ids", "delayed")},
        **{f"gru-ring-{operands}": program for operands, program in INTEGER_PROGRAMS.items()},
        "grouped": int8_feature_programs.grouped(2, 5, 9, 16),
        "matmul": int8_feature_programs.matmul(2, 2, 7, 3, False, 16),
        "reduce": int8_feature_programs.reduce("Sum", (2, 5, 3), 1),
        "running_int8": int8_feature_programs.running("Mean", 5),
        "running_softmax_int8": int8_feature_programs.running_softmax(2, 5),
        **{name: int8_feature_programs.PROGRAMS[name] for name in ("near-zero", "log-softmax")},
        "layer_norm": int8_feature_programs.layer_norm(2, 13, 1000, 11),
        "inverse": program_of([(4,)], [Unary(name="y", inputs=("x0",), outputs=("y",), function="Asin")], "y"),
        "matrices": edgernn.quantize(dense_recurrence(1, 0.999), X[:, :1], count_size=0.001),
        "wide": edgernn.quantize(written_out("lerp", slowness=0.001), X, states="s32", count_size=0.001),
    }


@pytest.fixture(scope="module")
def whole_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One C file of all pieces, with steps that call them."""
    folder, found, lines = tmp_path_factory.mktemp("whole"), set[str](), []
    for number, program in enumerate(whole_runtime().values()):
        model = CModel(program, f"model{number}")
        (folder / model.file).write_text(model.text)
        found.update(piece.partition(".")[0] for piece in pieces.in_order(model.step.pieces))
        lines.append(f'#define MODEL{number}_IMPLEMENTATION\n#include "{model.file}"\n')
    missing = {path.stem for path in pieces.RUNTIME.glob("*.h")} - found
    assert not missing, f"no program of this test needs {sorted(missing)}"
    source = folder / "whole.c"
    source.write_text("".join(lines))
    return source


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", COMPILERS)
def test_every_piece_compiles(name: str, level: str, whole_source: Path, needs_tool: Callable[[str], str]) -> None:
    compiler, *flags = COMPILERS[name]
    needs_tool(compiler)
    command = [compiler, "-std=c99", *flags, level, "-Wall", "-Wextra", "-Werror", "-ffp-contract=off"]
    command += ["-c", "-o", "/dev/null", str(whole_source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr


@cache
def expected_steps(name: str, folder: Path) -> tuple[Exported, dict[str, np.ndarray]]:
    program = INT8_PROGRAMS[name]
    export(program, folder / name, "c", make_golden(program, name), name=name)
    opened = open_export(folder / name)
    return opened, host_run(opened, 200)


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


@pytest.mark.parametrize("name", OTHER_LEVEL)
def test_the_integers_are_the_same_at_the_other_level(
    name: str, machine: Callable[[str], Emulator], exports: Path
) -> None:
    emulator = msgspec.structs.replace(machine(name), optimization=OTHER_LEVEL[name])
    for program in CELLS:
        opened, expected = expected_steps(program, exports)
        report = verify(opened, emulator, steps=200, expected=expected)
        assert report.equal, f"{program}: {report.difference}"
