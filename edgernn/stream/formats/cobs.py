"""Checked binary packets: the format ``cobs``.

A packet, all little-endian::

    byte 0        kind of numbers: 1 is int16, 2 is float32
    bytes 1-2     sequence, uint16: one more for each packet, modulo 2**16
    bytes 3-6     time of the sample on the sender's clock, uint32 in microseconds, modulo 2**32
    then          the numbers of one sample
    last 2 bytes  CRC-16/IBM-3740 of all bytes before (polynomial 0x1021, begins with 0xFFFF, not reflected)

It is sent with consistent overhead byte stuffing (Cheshire and Baker, IEEE/ACM Transactions on Networking 7(2), 1999),
which takes all zero bytes out, and ends with one zero byte. A damaged packet costs itself alone: reading goes on after
the next zero byte.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import numpy as np

from edgernn.kernels.native import native_function
from edgernn.stream.formats.base import MAX_FRAME_BYTES, SLICE_BYTES, Format, Samples, addresses

NumberKind = Literal["int16", "float32"]

KIND_BYTES: dict[NumberKind, tuple[int, str]] = {"int16": (1, "h"), "float32": (2, "f")}  # byte, struct code
HEADER_BYTES = 7
CRC_BYTES = 2
MIN_FRAME_BYTES = 1 + HEADER_BYTES + 2 + CRC_BYTES + 1  # stuffed, with one int16 and the zero byte


class Cobs(Format):
    """Parser of checked binary packets.

    Examples
    --------
    >>> parser = Cobs(2)
    >>> packet = encode_packet(7, 1000, [3, -4], "int16")
    >>> samples, = parser.feed(packet)
    >>> samples.values.tolist(), samples.sequence.tolist(), samples.device_time_us.tolist()
    ([[3.0, -4.0]], [7], [1000])
    """

    name: ClassVar[str] = "cobs"
    sequence_modulus: ClassVar[int | None] = 1 << 16
    time_modulus_us: ClassVar[int | None] = 1 << 32

    def __init__(self, width: int, *, whole_start: bool = False) -> None:
        super().__init__(width, whole_start=whole_start)
        self._parse_cobs = native_function("parsers.cobs", 10)
        most = (MAX_FRAME_BYTES + SLICE_BYTES) // MIN_FRAME_BYTES + 1
        self._values = np.zeros((MAX_FRAME_BYTES + SLICE_BYTES) // 2 + width, np.float64)
        self._sequence = np.zeros(most, np.int64)
        self._device_time_us = np.zeros(most, np.int64)
        self._packet = np.zeros(MAX_FRAME_BYTES // 8 + 2, np.int64)  # one packet without its stuffing
        self._crc_table = np.array([binascii.crc_hqx(bytes([byte]), 0) for byte in range(256)], np.int64)
        values, sequence, device_time_us, packet, crc_table, counts, state = addresses(
            self._values,
            self._sequence,
            self._device_time_us,
            self._packet,
            self._crc_table,
            self.counts,
            self._state,
        )
        unaligned_packet = packet + 8 - HEADER_BYTES  # so that its numbers are aligned
        self._addresses = [values, sequence, device_time_us, unaligned_packet, crc_table, counts, state]

    @staticmethod
    def frame_width(frame: bytes) -> int | None:
        return packet_width(frame)

    def _parse(self, length: int) -> Iterator[Samples]:
        rows = self._parse_cobs(self._buffer_address, length, self.width, *self._addresses)
        values = self._values[: rows * self.width].reshape(rows, self.width)
        yield Samples(values, self._sequence[:rows], self._device_time_us[:rows])


def encode_packet(sequence: int, time_us: int, values: Sequence[float], kind: NumberKind = "float32") -> bytes:
    """One packet as a board sends it, with its zero byte at the end.

    Parameters
    ----------
    sequence : int
        Number of the packet; taken modulo 2**16.
    time_us : int
        The sender's clock in microseconds; taken modulo 2**32.
    values : sequence of float
        The numbers of one sample; whole numbers from -32768 to 32767 for ``int16``.
    kind : {"float32", "int16"}
    """
    number, code = KIND_BYTES[kind]
    numbers = [int(value) for value in values] if kind == "int16" else values
    body = struct.pack(f"<BHI{len(numbers)}{code}", number, sequence & 0xFFFF, time_us & 0xFFFFFFFF, *numbers)
    return stuff(body + struct.pack("<H", binascii.crc_hqx(body, 0xFFFF))) + b"\0"


def stuff(data: bytes) -> bytes:
    """Consistent overhead byte stuffing without the final zero byte.

    Examples
    --------
    >>> stuff(b"\\x11\\x00\\x22").hex()
    '02110222'
    """
    out = bytearray()
    for group in data.split(b"\0"):
        whole = len(group) - len(group) % 254
        for start in range(0, whole, 254):
            out += b"\xff" + group[start : start + 254]
        out += bytes([len(group) - whole + 1]) + group[whole:]
    return bytes(out)


def unstuff(data: bytes) -> bytes | None:
    """The opposite of `stuff`; None if `data` cannot come from it."""
    out = bytearray()
    position = 0
    while position < len(data):
        code = data[position]
        end = position + code
        if code == 0 or end > len(data):
            return None
        out += data[position + 1 : end]
        if code < 255 and end < len(data):
            out.append(0)
        position = end
    return bytes(out)


def packet_width(frame: bytes) -> int | None:
    """How many numbers an intact packet (without its zero byte) holds; None if it is not intact."""
    packet = unstuff(frame)
    if packet is None or len(packet) < HEADER_BYTES + 2 + CRC_BYTES:
        return None
    size = {1: 2, 2: 4}.get(packet[0])
    body = len(packet) - HEADER_BYTES - CRC_BYTES
    if size is None or body % size or binascii.crc_hqx(packet[:-2], 0xFFFF) != int.from_bytes(packet[-2:], "little"):
        return None
    return body // size
