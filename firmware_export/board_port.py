"""Compares a real board with the host, over its serial port: the board runs the example that answers packets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.errors import ExportError
from edgernn.stream.formats.cobs import encode_packet, unstuff
from firmware_export.generate import CModel
from firmware_export.golden import frame_schedule, tolerance
from firmware_export.host import host_outputs, random_inputs
from firmware_export.targets import packet_kind

Array: TypeAlias = NDArray[Any]

BAUD = 115200
ATTEMPTS = 20  # first packets, while the board starts
ANSWER_S = 2.0
HEADER_BYTES, CRC_BYTES = 7, 2
MAX_SEQUENCE = 65535  # a packet with sequence 0 begins anew


class PortReport(msgspec.Struct, frozen=True):
    """What a board gave: equal or the first difference, and the microseconds of its steps."""

    equal: bool
    difference: str
    steps: int
    median_us: float
    largest_us: int


def verify_port(model: CModel, location: str, *, steps: int = 200, baud: int = BAUD) -> PortReport:
    """Send made-up inputs to a board that runs the example ``answer``, and compare each answer with the host.

    Raises
    ------
    ExportError
        The board does not answer, or the inputs do not fit into its packets.
    SourceError
        The port cannot be opened or breaks.
    """
    import serial

    from edgernn.stream.sources.ports import open_error

    inputs = _as_packets(model, random_inputs(model, steps))
    expected = host_outputs(model.program, inputs)
    schedules = {output.name: frame_schedule(model.program, output).steps(steps) for output in model.outputs}
    times_us: list[int] = []
    try:
        port = serial.serial_for_url(location, baudrate=baud, timeout=ANSWER_S)
    except (serial.SerialException, OSError, ValueError) as error:
        raise open_error(location, error) from error
    allowed = {
        name: tolerance(model.program, array.astype(model.step.dtype(model.step.output_value(name))))
        for name, array in expected.items()
    }
    with port:
        for step in range(steps):
            sequence = step if step == 0 else (step - 1) % MAX_SEQUENCE + 1
            numbers = np.concatenate([array[step].ravel() for array in inputs.values()])
            packet = encode_packet(sequence, 0, numbers.tolist(), _kind(model))
            answer = _exchange(port, packet, sequence, attempts=ATTEMPTS if step == 0 else 1)
            times_us.append(int.from_bytes(answer[3:7], "little"))
            due = {name: schedules[name].index(step) for name in schedules if step in schedules[name]}
            own = {name: (expected[name][frame], allowed[name][frame]) for name, frame in due.items()}
            difference = _difference(model, answer[HEADER_BYTES:-CRC_BYTES], own)
            if difference:
                return PortReport(False, f"step {step}, {difference}", step, float(np.median(times_us)), max(times_us))
    return PortReport(True, "", steps, float(np.median(times_us)), max(times_us))


def _kind(model: CModel) -> Any:
    return packet_kind(model.step.input_dtype(model.program.inputs[0].name))[0]


def _as_packets(model: CModel, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Inputs limited to what a packet can carry: counts of 16 bits."""
    if _kind(model) == "float32":
        return dict(inputs)
    return {name: np.clip(array, -32768, 32767) for name, array in inputs.items()}


def _exchange(port: Any, packet: bytes, sequence: int, attempts: int) -> bytes:
    """The intact packet that answers; header, values and CRC."""
    for _ in range(attempts):
        port.write(packet)
        while frame := port.read_until(b"\0"):
            answer = unstuff(frame[:-1]) if frame.endswith(b"\0") else None
            if answer is not None and _is_intact(answer) and int.from_bytes(answer[1:3], "little") == sequence:
                return answer
    raise ExportError(
        f"{port.port} does not answer: is the example `answer` of this export on the board, and is the baud rate right?"
    )


def _is_intact(packet: bytes) -> bool:
    import binascii

    if len(packet) < HEADER_BYTES + CRC_BYTES:
        return False
    return binascii.crc_hqx(packet[:-CRC_BYTES], 0xFFFF) == int.from_bytes(packet[-CRC_BYTES:], "little")


def _difference(model: CModel, data: bytes, expected: Mapping[str, tuple[Array, Array]]) -> str:
    """How the values of an answer differ from the outputs that the host has in this step, by more than is allowed."""
    begin = 0
    for name, (own, allowed) in expected.items():
        dtype = packet_kind(model.step.dtype(model.step.output_value(name)))[0]
        got = np.frombuffer(data[begin : begin + own.size * np.dtype(dtype).itemsize], dtype)
        begin += own.size * np.dtype(dtype).itemsize
        if got.size != own.size:
            return f"{len(data)} bytes of outputs are too few"
        different = np.flatnonzero(np.abs(got.astype(np.float64) - own) > allowed)
        if different.size:
            at = int(different[0])
            return f"{name}[{at}] is {got[at]}, on the host {own[at]}"
    return f"{len(data)} bytes of outputs where there must be {begin}" if len(data) != begin else ""
