"""Boards that people have, what fits on them, and about how long a step takes."""

from __future__ import annotations

import msgspec

from edgernn.errors import ExportError
from firmware_export.generate import CModel


class Board(msgspec.Struct, frozen=True):
    """A board: its chip, memory for programs, and what its core needs for a multiply-accumulate.

    `cycles_int8` and `cycles_float` are cycles for each multiply-accumulate of a whole recurrent step, activations
    included, measured on cells of 16 to 32 units (instructions in QEMU, true cycles in simavr).
    """

    title: str
    flash_bytes: int
    ram_bytes: int
    clock_hz: int
    cycles_int8: float
    cycles_float: float


BOARDS: dict[str, Board] = {
    "uno": Board("Arduino Uno, ATmega328P", 32256, 2048, 16_000_000, 34, 440),
    "mega": Board("Arduino Mega, ATmega2560", 253952, 8192, 16_000_000, 34, 440),
    "nano33": Board("Arduino Nano 33 BLE, nRF52840", 983040, 262144, 64_000_000, 3.5, 10),
    "nano33iot": Board("Arduino Nano 33 IoT, SAMD21", 262144, 32768, 48_000_000, 9.5, 130),
    "pico": Board("Raspberry Pi Pico, RP2040", 2097152, 270336, 125_000_000, 9.5, 90),
    "pico2": Board("Raspberry Pi Pico 2, RP2350", 4194304, 532480, 150_000_000, 3.5, 10),
    "bluepill": Board("Blue Pill, STM32F103C8", 65536, 20480, 72_000_000, 7.5, 75),
    "nucleo-f411": Board("Nucleo F411RE, STM32F411", 524288, 131072, 100_000_000, 3.5, 10),
    "teensy41": Board("Teensy 4.1, i.MX RT1062", 8126464, 1048576, 600_000_000, 2.5, 7),
    "microbit": Board("micro:bit, nRF51822", 262144, 16384, 16_000_000, 9.5, 130),
    "microbit2": Board("micro:bit v2, nRF52833", 524288, 131072, 64_000_000, 3.5, 10),
    "esp32c3": Board("ESP32-C3, RV32IMC", 4194304, 409600, 160_000_000, 6, 95),
}

CODE_BYTES = {"int8": 3000, "float32": 4500}  # of the functions of a model, at most, without its tables
FIRMWARE_BYTES = (2500, 450)  # flash and RAM that the rest of the smallest firmware (Arduino core, stack) takes


class Fit(msgspec.Struct, frozen=True):
    """What a model needs on a board: bytes of flash and RAM, and a step's time in seconds, estimated."""

    flash_bytes: int
    ram_bytes: int
    cycles: int
    step_s: float


def fit(model: CModel, board: str) -> Fit:
    """What a model needs on a board.

    Raises
    ------
    ExportError
        There is no such board, or the model does not fit.
    """
    if board not in BOARDS:
        raise ExportError(f"there is no board {board!r}; known are {', '.join(BOARDS)}")
    facts, program = BOARDS[board], model.program
    flash = model.table_bytes + CODE_BYTES[program.arithmetic]
    ram = model.state_bytes
    for what, need, have, other in zip(
        ("flash", "RAM"), (flash, ram), (facts.flash_bytes, facts.ram_bytes), FIRMWARE_BYTES, strict=True
    ):
        if need + other > have:
            raise ExportError(
                f"{model.prefix} does not fit on {facts.title}: it needs {need} bytes of {what}, and firmware about "
                f"{other} more, the board has {have}; take a smaller model, int8, or another board"
            )
    if facts.title.endswith(("ATmega328P", "ATmega2560")) and model.largest_table > 32767:
        raise ExportError(f"a table of {model.largest_table} bytes is more than avr-gcc can hold (32767)")
    each = facts.cycles_int8 if program.arithmetic == "int8" else facts.cycles_float
    cycles = round(program.multiply_accumulates * model.copies * each) + 300
    return Fit(flash, ram, cycles, cycles / facts.clock_hz)
