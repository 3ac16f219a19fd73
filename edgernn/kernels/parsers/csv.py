"""The compiled half of the format csv: lines of numbers to float64.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

import numpy as np

from edgernn.kernels.codegen.pointers import bytes_at, float64_at, inline, int64_at

# places in the counters and reasons for skipping, see edgernn.stream.formats.base
SAMPLES, PARTIAL, TEXT, MALFORMED, WRONG_WIDTH, TOO_LONG, NON_FINITE, OUT_OF_RANGE = range(8)
READING, SKIP_UNSEEN_START, SKIP_REST = range(3)
MAX_FRAME_BYTES = 8192

NEWLINE, RETURN, TAB, SPACE = 10, 13, 9, 32
PLUS, COMMA, MINUS, POINT, ZERO, SEMICOLON = 43, 44, 45, 46, 48, 59

ROUNDS_TO_INFINITY = 3.4028235677973362e38  # everything above rounds to infinity
MAX_DIGITS = 18  # fit an int64

NOT_A_NUMBER, FINITE, NOT_FINITE, TOO_LARGE = range(4)  # what _number found


@inline
def _is_word(buffer, position, first, second, third):
    """Whether three letters, in either case, stand at `position`."""
    return buffer[position] | 32 == first and buffer[position + 1] | 32 == second and buffer[position + 2] | 32 == third


@inline
def _word(buffer, position):
    """Read nan, inf, infinity or ovf. The buffer ends with a newline, so no look ahead passes its end."""
    if _is_word(buffer, position, 110, 97, 110) or _is_word(buffer, position, 111, 118, 102):
        return NOT_FINITE, position + 3
    if _is_word(buffer, position, 105, 110, 102):
        position += 3
        if (
            _is_word(buffer, position, 105, 110, 105)
            and buffer[position + 3] | 32 == 116
            and buffer[position + 4] | 32 == 121
        ):
            position += 5
        return NOT_FINITE, position
    return NOT_A_NUMBER, position


@inline
def _scaled(mantissa, exponent, powers):
    """``mantissa * 10**exponent``: correctly rounded for up to 15 digits and exponents to 22, else within some ulp."""
    value = float(mantissa)
    while exponent > 22:
        value *= 1e22
        exponent -= 22
    while exponent < -22:
        value /= 1e22
        exponent += 22
    return value * powers[exponent] if exponent >= 0 else value / powers[-exponent]


@inline
def _number(buffer, position, powers):
    """Read one number: (what it is, its value, the position behind it)."""
    negative = buffer[position] == MINUS
    if negative or buffer[position] == PLUS:
        position += 1
    mantissa = np.int64(0)
    digits = 0  # read
    kept = 0  # in the mantissa, without leading zeros
    exponent = 0
    point = False
    while True:
        byte = buffer[position]
        digit = np.int64(byte) - ZERO
        if 0 <= digit <= 9:
            digits += 1
            if kept < MAX_DIGITS:
                mantissa = 10 * mantissa + digit
                kept += mantissa > 0
                exponent -= point
            else:
                exponent += not point
        elif byte == POINT and not point:
            point = True
        else:
            break
        position += 1
    if digits == 0:
        kind, position = _word(buffer, position) if not point else (NOT_A_NUMBER, position)
        return kind, np.nan, position
    if buffer[position] | 32 == 101:  # e
        position += 1
        down = buffer[position] == MINUS
        if down or buffer[position] == PLUS:
            position += 1
        power = 0
        first = position
        while 48 <= buffer[position] <= 57:
            power = min(10 * power + np.int64(buffer[position]) - ZERO, 100000)
            position += 1
        if position == first:
            return NOT_A_NUMBER, np.nan, position
        exponent += -power if down else power
    if mantissa == 0 or exponent < -400:
        value = 0.0
    elif exponent > 400:
        return TOO_LARGE, np.nan, position
    else:
        value = _scaled(mantissa, exponent, powers)
    if value > ROUNDS_TO_INFINITY:
        return TOO_LARGE, np.nan, position
    return FINITE, -value if negative else value, position


@inline
def _has_comma(buffer, position, end):
    while position < end and buffer[position] != COMMA:
        position += 1
    return position < end


@inline
def _line(buffer, line, width, values, powers):
    """Read one line: (kind, whether a number is not finite, whether one is too large, the position of its end).

    Kind is SAMPLES, TEXT, MALFORMED, WRONG_WIDTH, or -1 for an empty line. Commas and semicolons in one line are
    MALFORMED: the commas may be decimal.
    """
    position = line
    columns = 0
    not_finite = False
    too_large = False
    semicolon = False
    while True:
        while buffer[position] == SPACE or buffer[position] == TAB:
            position += 1
        if buffer[position] == NEWLINE or buffer[position] == RETURN:
            break
        kind, value, position = _number(buffer, position, powers)
        byte = buffer[position]
        ends = byte in (SPACE, TAB, COMMA, SEMICOLON, NEWLINE, RETURN)
        if kind == NOT_A_NUMBER or not ends:
            line_kind = TEXT if columns == 0 else MALFORMED
            position = line
            while buffer[position] != NEWLINE and buffer[position] != RETURN:
                if (buffer[position] < SPACE and buffer[position] != TAB) or buffer[position] > 126:
                    line_kind = MALFORMED
                position += 1
            return line_kind, False, False, position
        not_finite |= kind == NOT_FINITE
        too_large |= kind == TOO_LARGE
        if columns < width:
            values[columns] = value
        columns += 1
        while buffer[position] == SPACE or buffer[position] == TAB:
            position += 1
        if buffer[position] == COMMA:
            position += 1
        elif buffer[position] == SEMICOLON:
            semicolon = True
            position += 1
    if columns == 0:
        return -1, False, False, position
    if semicolon and _has_comma(buffer, line, position):
        return MALFORMED, False, False, position
    return SAMPLES if columns == width else WRONG_WIDTH, not_finite, too_large, position


@inline
def _lines(buffer, length, width, values, powers, counts, state):
    """Parse complete lines up to the first that is not plain; see `build`."""
    buffer[length] = NEWLINE
    state[2] = 0
    rows = 0
    line = 0
    while line < length:
        if state[0] != READING:
            end = line
            while buffer[end] != NEWLINE and buffer[end] != RETURN:
                end += 1
            if state[0] == SKIP_UNSEEN_START and end > line:
                counts[PARTIAL] += 1
                state[0] = SKIP_REST
            if end == length:
                line = length
                break
            state[0] = READING
            line = end + 1
            continue
        row = float64_at(values + 8 * rows * width)
        kind, not_finite, too_large, end = _line(buffer, line, width, row, powers)
        if end == length:
            break
        if end - line > MAX_FRAME_BYTES:
            kind = TOO_LONG
        if kind == TOO_LONG:
            counts[TOO_LONG] += 1
        elif kind >= 0 and (kind != SAMPLES or not_finite):
            state[2] = end
            break
        elif kind == SAMPLES:
            counts[SAMPLES] += 1
            counts[OUT_OF_RANGE] += too_large
            rows += 1
        line = end + 1
    state[1] = line
    return rows


def build():
    """``parse_csv(buffer, length, width, values, powers, counts, state)``: parse the complete lines in a buffer.

    It stops before a line that is no sample of plain, finite numbers: that is Python's to read.

    Arguments, all but `length` and `width` addresses::

        buffer   uint8 (more than length,); buffer[length] is overwritten with an end mark
        length   bytes to parse
        width    numbers in a sample
        values   float64 (at least length / 2 + width,), where the numbers go, row after row
        powers   float64 (23,), the powers of ten from 0 to 22, all exact
        counts   int64 (8,), counters by kind
        state    int64 (3,): why bytes up to the next end of a line are passed over; bytes used up (written); where the
                 line ends that it stopped before, or 0 (written)

    The result is the number of samples written.
    """

    def parse_csv(buffer, length, width, values, powers, counts, state):
        buffer, powers = bytes_at(buffer), float64_at(powers)
        counts, state = int64_at(counts), int64_at(state)
        return _lines(buffer, length, width, values, powers, counts, state)

    return parse_csv
