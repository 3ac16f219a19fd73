"""Boards that people have, what fits on them, and about how long a step takes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from edgernn.errors import DoesNotFitError, ExportError
from edgernn.program.operations import AnyOperation, GroupedDense, MatMul, Repeat
from edgernn.program.program import Program
from firmware_export.generate import CModel


class Cost(msgspec.Struct, frozen=True):
    """About how many cycles a core needs for each product, and for each row of a matrix, activations included."""

    product: float
    row: float


class Core(msgspec.Struct, frozen=True):
    """What a step costs on a core: products and rows, by their operands, and cycles that every step takes.

    Fitted to GRUs and LSTMs of 8 to 64 units with a dense layer and a softmax, which it meets within 8 %: true cycles
    of AVR, else instructions in QEMU and a quarter more. Wide states and peepholes take up to a third more.
    `int8_code_bytes` and `float32_code_bytes` are bytes of a model's functions without its tables, measured on models
    of a cell, a dense layer, a softmax and decisions; few need more.
    """

    w8a8: Cost
    w8a16: Cost
    float32: Cost
    step_cycles: float
    int8_code_bytes: int = 3500
    float32_code_bytes: int = 4500


class Board(msgspec.Struct, frozen=True):
    """A board: its core, and the memory that programs have."""

    title: str
    core: Core
    flash_bytes: int
    ram_bytes: int
    clock_hz: int


AVR = Core(Cost(8.9, 479), Cost(17, 545), Cost(283, 5420), step_cycles=4700, int8_code_bytes=7000)
CORTEX_M0 = Core(Cost(5.7, 152), Cost(5.7, 152), Cost(240, 4230), step_cycles=450)
CORTEX_M3 = Core(Cost(3.5, 85), Cost(3.5, 82), Cost(113, 2020), step_cycles=330)
CORTEX_M4 = Core(Cost(1.7, 68), Cost(1.7, 65), Cost(7.2, 131), step_cycles=340)  # M7 and M33 execute the same
RV32IMC = Core(Cost(4.2, 109), Cost(4.3, 106), Cost(231, 3650), step_cycles=220)

BOARDS: dict[str, Board] = {
    "uno": Board("Arduino Uno, ATmega328P", AVR, 32256, 2048, 16_000_000),
    "mega": Board("Arduino Mega, ATmega2560", AVR, 253952, 8192, 16_000_000),
    "nano33": Board("Arduino Nano 33 BLE, nRF52840", CORTEX_M4, 983040, 262144, 64_000_000),
    "nano33iot": Board("Arduino Nano 33 IoT, SAMD21", CORTEX_M0, 262144, 32768, 48_000_000),
    "pico": Board("Raspberry Pi Pico, RP2040", CORTEX_M0, 2097152, 270336, 125_000_000),
    "pico2": Board("Raspberry Pi Pico 2, RP2350", CORTEX_M4, 4194304, 532480, 150_000_000),
    "bluepill": Board("Blue Pill, STM32F103C8", CORTEX_M3, 65536, 20480, 72_000_000),
    "nucleo-f411": Board("Nucleo F411RE, STM32F411", CORTEX_M4, 524288, 131072, 100_000_000),
    "teensy41": Board("Teensy 4.1, i.MX RT1062", CORTEX_M4, 8126464, 1048576, 600_000_000),
    "microbit": Board("micro:bit, nRF51822", CORTEX_M0, 262144, 16384, 16_000_000),
    "microbit2": Board("micro:bit v2, nRF52833", CORTEX_M4, 524288, 131072, 64_000_000),
    "esp32c3": Board("ESP32-C3, RV32IMC", RV32IMC, 4194304, 409600, 160_000_000),
}

MAX_AVR_TABLE = 32767  # bytes, of avr-gcc
FEW_OPERATIONS = 20  # for which a core's code bytes are enough
OPERATION_BYTES = 90  # of each one more; measured on a graph of 95 small operations
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
        There is no such board.
    DoesNotFitError
        The model needs more flash or RAM than it has.
    """
    if board not in BOARDS:
        raise ExportError(f"there is no board {board!r}; known are {', '.join(BOARDS)}")
    facts, program = BOARDS[board], model.program
    code = facts.core.int8_code_bytes if program.arithmetic == "int8" else facts.core.float32_code_bytes
    more = max(0, len(program.operations) - FEW_OPERATIONS) * OPERATION_BYTES
    flash = model.table_bytes + code + more
    ram = model.state_bytes
    for what, need, have, other in zip(
        ("flash", "RAM"), (flash, ram), (facts.flash_bytes, facts.ram_bytes), FIRMWARE_BYTES, strict=True
    ):
        if need + other > have:
            raise DoesNotFitError(
                f"{model.prefix} does not fit on {facts.title}: it needs {need} bytes of {what}, and firmware about "
                f"{other} more, the board has {have}; take a smaller model, int8, or another board"
            )
    if facts.core is AVR and model.largest_table > MAX_AVR_TABLE:
        raise DoesNotFitError(
            f"{model.prefix} has a table of {model.largest_table} bytes, more than {MAX_AVR_TABLE}, which avr-gcc "
            "can hold: take a smaller model or another board"
        )
    runs = model.copies + (program.tail_steps if model.step.runs_tail else 0)
    cycles = round((facts.core.step_cycles + _cycles(program, program.description.operations, facts.core)) * runs)
    return Fit(flash, ram, cycles, cycles / facts.clock_hz)


def _cycles(program: Program, operations: Iterable[AnyOperation], core: Core) -> float:
    """Cycles of the matrix products of the longest step of one state, activations included."""
    total = 0.0
    for operation in operations:
        if isinstance(operation, Repeat):
            total += operation.count * _cycles(program, operation.body, core)
        inputs = tuple(program.values[name] for name in operation.inputs)
        bits = getattr(operation, "operand_bits", 0)  # only integer products have it
        cost = {8: core.w8a8, 16: core.w8a16}.get(bits, core.float32)
        products = operation.multiply_accumulates(inputs, program.weights)
        total += cost.product * products + cost.row * products / _columns(program, operation)
    return total


def _columns(program: Program, operation: AnyOperation) -> int:
    """Products of each row of an operation's matrices."""
    if isinstance(operation, MatMul):
        return program.values[operation.inputs[0]].shape[-1]
    if isinstance(operation, GroupedDense):
        return int(program.weights[operation.W].shape[1])
    matrices = (program.weights.get(getattr(operation, field, "")) for field in ("W", "R"))
    return sum(matrix.shape[-1] for matrix in matrices if matrix is not None) or 1
