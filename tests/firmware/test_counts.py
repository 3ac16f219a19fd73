"""Instructions, cycles and bytes of the cells, against committed figures. They hold for the compilers named here."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from firmware_programs import cell_from_integers, int8_cell
from small_programs import cell_program

from firmware_export.boards import fit
from firmware_export.emulators import Emulator
from firmware_export.verify import Exported, verify

COMPILERS = {"arm-none-eabi-gcc": "12.2.1", "avr-gcc": "5.4.0", "riscv64-unknown-elf-gcc": "12.2.0"}
MAX_MORE = 1.02  # what a change may cost
# (cell, operands, hidden size, machine): count of the longest step, from 6 quantized inputs to the new state, and bytes
# of flash
FIGURES = {
    ("gru", "w8a16", 32, "cortex-m4"): (10065, 6864),
    ("lstm", "w8a16", 32, "cortex-m4"): (13164, 8536),
    ("gru", "w8a16", 32, "cortex-m0"): (27066, 7128),
    ("lstm", "w8a16", 32, "cortex-m0"): (37021, 8764),
    ("gru", "w8a16", 32, "rv32imc"): (20720, 7320),
    ("lstm", "w8a16", 32, "rv32imc"): (27838, 9144),
    ("gru", "w8a16", 32, "cortex-m55"): (7352, 6908),
    ("lstm", "w8a16", 32, "cortex-m55"): (9490, 8564),
    ("gru", "w8a8", 16, "atmega328p"): (29478, 5106),
    ("lstm", "w8a8", 16, "atmega328p"): (41182, 6088),
    ("gru", "w8a16", 16, "atmega328p"): (41692, 5576),
    ("lstm", "w8a16", 16, "atmega328p"): (56551, 6668),
}
MAX_COUNTS = {
    ("gru", "w8a16", "cortex-m4"): 11_000,
    ("lstm", "w8a16", "cortex-m4"): 14_000,
    ("lstm", "w8a16", "cortex-m0"): 40_000,
    ("gru", "w8a8", "atmega328p"): 30_000,
}
LSTM_FLASH_BYTES = 9_700


@pytest.mark.parametrize(("kind", "operands", "hidden_size", "name"), FIGURES)
def test_steps_have_not_become_longer(
    kind: str,
    operands: str,
    hidden_size: int,
    name: str,
    machine: Callable[[str], Emulator],
    exported: Callable[..., Exported],
) -> None:
    emulator = machine(name)
    compiler = emulator.compiler[0]
    version = subprocess.run([compiler, "-dumpfullversion", "-dumpversion"], capture_output=True, text=True, check=True)
    program = cell_from_integers(int8_cell(kind, operands, K=6, H=hidden_size))
    report = verify(exported(program), emulator, sized=True)
    assert report.equal, report.difference
    assert report.count is not None
    count, flash_bytes = FIGURES[kind, operands, hidden_size, name]
    if version.stdout.split()[0] == COMPILERS[compiler]:
        assert report.count <= count * MAX_MORE
        assert report.flash_bytes <= flash_bytes * MAX_MORE
    assert report.count <= MAX_COUNTS.get((kind, operands, name), report.count)
    if kind == "lstm" and name == "cortex-m4":
        assert report.flash_bytes <= LSTM_FLASH_BYTES


@pytest.mark.parametrize(("board", "name"), [("uno", "atmega328p"), ("nano33", "cortex-m4"), ("esp32c3", "rv32imc")])
@pytest.mark.parametrize("kind", ["gru w8a16", "lstm_peephole wide", "gru window", "lstm float"])
def test_what_a_board_is_said_to_need(
    kind: str, board: str, name: str, machine: Callable[[str], Emulator], exported: Callable[..., Exported]
) -> None:
    program = {
        "gru w8a16": int8_cell("gru", "w8a16"),
        "lstm_peephole wide": int8_cell("lstm_peephole", "w8a16", states="s32"),
        "gru window": int8_cell("gru", "w8a16").with_window(10, 3),
        "lstm float": cell_program("lstm"),
    }[kind]
    export = exported(program)
    report, need = verify(export, machine(name), sized=True), fit(export.model, board)
    assert report.flash_bytes <= need.flash_bytes <= report.flash_bytes + 3500
    assert need.ram_bytes <= report.ram_bytes <= need.ram_bytes + 64
    assert report.count is not None
    cycles = report.count * (1 if report.counts == "cycles" else 1.25)
    if kind != "gru window":  # its copies end one after the other
        assert need.cycles == pytest.approx(cycles, rel=0.35 if "wide" in kind else 0.12)


def test_a_gru_64_runs_on_an_uno(machine: Callable[[str], Emulator], exported: Callable[..., Exported]) -> None:
    report = verify(exported(int8_cell("gru", "w8a8", K=6, H=64)), machine("atmega328p"), sized=True)
    assert report.equal, report.difference
    assert report.stack_bytes is not None
    assert report.ram_bytes + report.stack_bytes < 2048
    assert report.flash_bytes < 32256
