"""The compiled half of the cobs format. The whole chain of compiled functions is in this file, for Numba's cache."""

from __future__ import annotations

import numpy as np
from numba import njit

# places in the counters and reasons for skipping, see edgernn.formats.base
SAMPLES, PARTIAL, TEXT, MALFORMED, WRONG_WIDTH, TOO_LONG, NON_FINITE, OUT_OF_RANGE = range(8)
READING, SKIP_UNSEEN_START, SKIP_REST = range(3)
MAX_FRAME_BYTES = 8192

HEADER_BYTES = 7
CRC_BYTES = 2
INT16, FLOAT32 = 1, 2


def _crc_table() -> np.ndarray:
    """What each byte does to CRC-16/IBM-3740."""
    table = np.zeros(256, np.uint16)
    for byte in range(256):
        remainder = byte << 8
        for _ in range(8):
            remainder = (remainder << 1) ^ (0x1021 if remainder & 0x8000 else 0)
        table[byte] = remainder & 0xFFFF
    return table


CRC_TABLE = _crc_table()  # (256,)


@njit(cache=True)
def _unstuff(buffer, start, end, packet):
    """Take the stuffing out of ``buffer[start:end]``; the length of the packet, or -1 if it cannot be one."""
    length = 0
    position = start
    while position < end:
        code = np.int64(buffer[position])
        last = position + code
        if last > end:
            return -1
        for place in range(position + 1, last):
            packet[length] = buffer[place]
            length += 1
        if code < 255 and last < end:
            packet[length] = 0
            length += 1
        position = last
    return length


@njit(cache=True)
def _crc_is_right(packet, length):
    """Whether the last two bytes are the checksum of those before."""
    crc = np.uint32(0xFFFF)
    for place in range(length - CRC_BYTES):
        crc = ((crc << np.uint32(8)) & np.uint32(0xFFFF)) ^ np.uint32(CRC_TABLE[(crc >> np.uint32(8)) ^ packet[place]])
    return crc == np.uint32(packet[length - 2]) | (np.uint32(packet[length - 1]) << np.uint32(8))


@njit(cache=True)
def _little_endian(packet, place, count):
    """An unsigned whole number of `count` bytes."""
    value = np.int64(0)
    for byte in range(count - 1, -1, -1):
        value = (value << 8) | np.int64(packet[place + byte])
    return value


@njit(cache=True)
def _numbers(packet, width, values, first, word):
    """Write the numbers of an intact packet; whether all of them are finite."""
    finite = True
    as_float = word.view(np.float32)
    for column in range(width):
        if packet[0] == INT16:
            value = _little_endian(packet, HEADER_BYTES + 2 * column, 2)
            values[first + column] = value - 65536 if value > 32767 else value
        else:
            word[0] = np.uint32(_little_endian(packet, HEADER_BYTES + 4 * column, 4))
            number = np.float64(as_float[0])
            if not np.isfinite(number):
                finite = False
                number = np.nan
            values[first + column] = number
    return finite


@njit(cache=True, nogil=True)
def parse_packets(buffer, length, width, values, sequence, device_time_us, packet, counts, skip, word):
    """Parse all complete packets in ``buffer[:length]``.

    Parameters
    ----------
    buffer : uint8 (more than length,)
    length, width : int
        Bytes to parse, numbers in a sample.
    values : float64 (at least length / 2,)
    sequence, device_time_us : int64 (at least one for each packet,)
    packet : uint8 (MAX_FRAME_BYTES + 8,)
        Scratch for one packet without its stuffing.
    counts : int64 (8,)
    skip : int64 (1,)
        Why bytes up to the next zero byte are passed over.
    word : uint32 (1,)
        Scratch for the bits of one float32.

    Returns
    -------
    rows, consumed : int
        Samples written, bytes used up.
    """
    rows = 0
    start = 0
    for end in range(length):
        if buffer[end] != 0:
            continue
        size = end - start
        begin = start
        start = end + 1
        reason = skip[0]
        skip[0] = READING
        if reason == SKIP_REST or size == 0:
            continue
        if size > MAX_FRAME_BYTES:
            counts[TOO_LONG] += 1
            continue
        count = _unstuff(buffer, begin, end, packet)
        body = count - HEADER_BYTES - CRC_BYTES
        each = 2 if packet[0] == INT16 else 4
        known = body > 0 and (packet[0] == INT16 or packet[0] == FLOAT32) and body % each == 0
        if not known or not _crc_is_right(packet, count):
            counts[PARTIAL if reason == SKIP_UNSEEN_START else MALFORMED] += 1
        elif body != each * width:
            counts[WRONG_WIDTH] += 1
        else:
            counts[SAMPLES] += 1
            counts[NON_FINITE] += not _numbers(packet, width, values, rows * width, word)
            sequence[rows] = _little_endian(packet, 1, 2)
            device_time_us[rows] = _little_endian(packet, 3, 4)
            rows += 1
    if skip[0] == SKIP_REST:
        start = length
    return rows, start
