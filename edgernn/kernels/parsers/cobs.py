"""The compiled half of the format cobs: checked binary packets to float64.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

import numpy as np

from edgernn.kernels.codegen.pointers import bytes_at, float32_at, float64_at, inline, int16_at, int64_at

# places in the counters and reasons for skipping, see edgernn.stream.formats.base
SAMPLES, PARTIAL, TEXT, MALFORMED, WRONG_WIDTH, TOO_LONG, NON_FINITE, OUT_OF_RANGE = range(8)
READING, SKIP_UNSEEN_START, SKIP_REST = range(3)
MAX_FRAME_BYTES = 8192

HEADER_BYTES = 7
CRC_BYTES = 2
INT16, FLOAT32 = 1, 2


@inline
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


@inline
def _little_endian(packet, place, count):
    """An unsigned whole number of `count` bytes."""
    value = np.int64(0)
    for byte in range(count - 1, -1, -1):
        value = (value << 8) | np.int64(packet[place + byte])
    return value


@inline
def _crc_is_right(packet, length, crc_table):
    """Whether the last two bytes are the checksum of those before."""
    crc = 0xFFFF
    for place in range(length - CRC_BYTES):
        crc = ((crc << 8) & 0xFFFF) ^ crc_table[(crc >> 8) ^ np.int64(packet[place])]
    return crc == _little_endian(packet, length - CRC_BYTES, CRC_BYTES)


@inline
def _numbers(packet, width, values):
    """Write the numbers of the intact packet at the address `packet`; whether all of them are finite."""
    if bytes_at(packet)[0] == INT16:
        whole = int16_at(packet + HEADER_BYTES)
        for column in range(width):
            values[column] = whole[column]
        return True
    numbers = float32_at(packet + HEADER_BYTES)
    finite = True
    for column in range(width):
        number = numbers[column]
        is_finite = number - number == 0
        finite &= is_finite
        values[column] = number if is_finite else np.nan
    return finite


@inline
def _packets(buffer, length, width, values, sequence, device_time_us, packet_at, crc_table, counts, state):
    """Parse all complete packets; see `build`."""
    packet = bytes_at(packet_at)
    rows = 0
    start = 0
    for end in range(length):
        if buffer[end] != 0:
            continue
        begin, start = start, end + 1
        reason = state[0]
        state[0] = READING
        if reason == SKIP_REST or end == begin:
            continue
        if end - begin > MAX_FRAME_BYTES:
            counts[TOO_LONG] += 1
            continue
        count = _unstuff(buffer, begin, end, packet)
        body = count - HEADER_BYTES - CRC_BYTES
        each = 2 if packet[0] == INT16 else 4
        known = body > 0 and (packet[0] == INT16 or packet[0] == FLOAT32) and body % each == 0
        if not known or not _crc_is_right(packet, count, crc_table):
            counts[PARTIAL if reason == SKIP_UNSEEN_START else MALFORMED] += 1
        elif body != each * width:
            counts[WRONG_WIDTH] += 1
        else:
            counts[SAMPLES] += 1
            counts[NON_FINITE] += not _numbers(packet_at, width, float64_at(values + 8 * rows * width))
            sequence[rows] = _little_endian(packet, 1, 2)
            device_time_us[rows] = _little_endian(packet, 3, 4)
            rows += 1
    state[1] = length if state[0] == SKIP_REST else start
    return rows


def build():
    """``parse_cobs(buffer, length, width, values, sequence, device_time_us, packet, crc_table, counts, state)``.

    Arguments, all but `length` and `width` addresses::

        buffer          uint8 (length,)
        length          bytes to parse
        width           numbers in a sample
        values          float64 (at least length / 2,), where the numbers go, row after row
        sequence        int64 (at least one for each packet,)
        device_time_us  int64 (as many,)
        packet          uint8 (MAX_FRAME_BYTES,), scratch for one packet without its stuffing; one byte before a
                        multiple of 8, so that the numbers behind the 7 bytes of the header are aligned
        crc_table       int64 (256,), what each byte does to the checksum
        counts          int64 (8,), counters by kind
        state           int64 (2,): why bytes up to the next zero byte are passed over; bytes used up (written)

    The result is the number of samples written.
    """

    def parse_cobs(buffer, length, width, values, sequence, device_time_us, packet, crc_table, counts, state):
        return _packets(
            bytes_at(buffer),
            length,
            width,
            values,
            int64_at(sequence),
            int64_at(device_time_us),
            packet,
            int64_at(crc_table),
            int64_at(counts),
            int64_at(state),
        )

    return parse_cobs
