"""How int8 weights are laid out for the integer kernels: in panels, as packing.py has them for float.

A panel belongs to `lanes` units. Its head holds registers of int32, one of each gate: where the sum starts, then the
factors of the rescaling (`pack_factors`), then the biases (`pack_biases`) of those gates that have any, the last ones.
Behind it follow groups of columns (int8_forms.py): for each gate `lanes` units, for each unit the group's weights side
by side. Units and columns beyond the last have weight 0.

A narrow panel is one of fewer rows than a register has lanes: each row has several lanes, for several groups of columns
at once, whose sums are added up at the end. So its starts fill a register, the first of each row's lanes alone, while
factors and biases, one a row, share another.

A matrix begins with a cache line that tells, in an int64, whether the factors of any of its rows shift before the
product: hardly any matrix needs it. Heads are small because large matrices come from the second-level cache, which is
what their products wait for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgernn.kernels.int8.products.forms import FORMS

LINE_BYTES = 64  # of a cache

Integers = NDArray[Any]


class GateRows(NamedTuple):
    """The rows of a matrix product by gate: W (gates, units, columns), multiplier, shift and B (gates, units)."""

    W: Integers
    multiplier: Integers
    shift: Integers
    B: Integers

    def gates(self, gates: slice) -> GateRows:
        """Some of the gates."""
        return GateRows(*(array[gates] for array in self))


def pack_factors(multiplier: Integers, shift: Integers) -> Integers:
    """Multiplier and shift of ARITHMETIC.md's rescaling in one int32 each, as `int8_simd.rescale` takes them.

    The multiplier lies above 2^17, below it the shift before the product, in 5 bits above 2^8, and that of the
    product's high half but for its last bit, in 5 bits: the bit is left to the rounding.

    >>> [hex(factor) for factor in pack_factors(np.array([16384, 16385]), np.array([14, 20]))]
    ['-0x7ffffd00', '-0x7ffdfffd']
    """
    shift = shift.astype(np.int64)
    before, after = np.maximum(17 - shift, 0), np.maximum(shift - 17, 0)
    return ((multiplier.astype(np.int64) << 17) + (before << 8) + after).astype(np.uint32).view(np.int32)


def pack_short_factors(multipliers: Integers, shifts: Integers) -> NDArray[np.int64]:
    """Multipliers and shifts as `int8_simd.rescale_short` takes them, (sides, 2).

    >>> pack_short_factors(np.array([16384, 20000]), np.array([14, 40])).tolist()
    [[16384, 13], [20000, 31]]
    """
    return np.stack([multipliers, np.minimum(shifts - 1, 31)], axis=1).astype(np.int64)


def pack_biases(B: Integers) -> NDArray[np.int32]:
    """What is added to twice a rescaled sum before its last bit is dropped: twice the bias, and one to round.

    >>> pack_biases(np.array([0, -3])).tolist()
    [1, -5]
    """
    return (2 * B.astype(np.int64) + 1).astype(np.int32)


def _first_line(shift: Integers) -> NDArray[np.uint8]:
    """Whether rows shift before the product, and nothing else."""
    line = np.zeros(LINE_BYTES // 8, np.int64)
    line[0] = (shift < 17).any()
    return line.view(np.uint8)


def padded_columns(columns: int, form: str, groups: int = 1) -> int:
    """Columns of a panel, with those that fill up the last group; in narrow panels rows have `groups` of lanes."""
    step = FORMS[form].step * groups
    return -(-columns // step) * step


def pack_int8_panels(rows: GateRows, lanes: int, form: str, biases: int) -> NDArray[np.uint8]:
    """Lay out rows as panels; `biases` tells how many gates have some, the last ones."""
    gates, units, columns = rows.W.shape
    panels, group = -(-units // lanes), FORMS[form].columns
    W = np.zeros((gates, panels * lanes, padded_columns(columns, form)), np.int8)
    W[:, :units, :columns] = rows.W
    W = W.reshape(gates, panels, lanes, -1, group).transpose(1, 3, 0, 2, 4)  # (panels, groups, gates, lanes, group)
    registers = np.concatenate(
        [_starts(rows, form), pack_factors(rows.multiplier, rows.shift), pack_biases(rows.B[gates - biases :])]
    )
    head = np.zeros((len(registers), panels * lanes), np.int32)
    head[:, :units] = registers
    head = np.ascontiguousarray(head.reshape(-1, panels, lanes).transpose(1, 0, 2))
    parts = (head.reshape(panels, -1).view(np.uint8), np.ascontiguousarray(W).reshape(panels, -1).view(np.uint8))
    return np.concatenate([_first_line(rows.shift), np.concatenate(parts, axis=1).ravel()])


def pack_single_panel(rows: GateRows, count: int, groups: int, form: str) -> NDArray[np.uint8]:
    """Lay out the rows of one gate as a narrow panel of `count` rows, a power of two not below theirs.

    Each row has `groups` of lanes side by side.
    """
    _, units, columns = rows.W.shape
    group = FORMS[form].columns
    W = np.zeros((count, padded_columns(columns, form, groups)), np.int8)
    W[:units, :columns] = rows.W[0]
    W = W.reshape(count, -1, groups, group).transpose(1, 0, 2, 3)  # (blocks, rows, groups, group)
    start, per_row = np.zeros((count, groups), np.int32), np.zeros((groups, count), np.int32)
    start[:units, 0] = _starts(rows, form)[0]
    per_row[:2, :units] = pack_factors(rows.multiplier, rows.shift)[0], pack_biases(rows.B)[0]
    parts = [np.ascontiguousarray(part).reshape(-1).view(np.uint8) for part in (start, per_row, W)]
    return np.concatenate([_first_line(rows.shift), *parts])


def _starts(rows: GateRows, form: str) -> NDArray[np.int32]:
    """Where the sum of each row starts, (gates, units)."""
    start: NDArray[np.int32] = -FORMS[form].offset * rows.W.astype(np.int32).sum(axis=2, dtype=np.int32)
    return start


def pack_int8_units(numbers: Integers, lanes: int) -> NDArray[np.int32]:
    """Lay out numbers a unit, (kinds, units), as (panels, kinds, lanes); ones behind the last unit."""
    kinds, units = numbers.shape
    padded = np.ones((kinds, -(-units // lanes) * lanes), np.int32)
    padded[:, :units] = numbers
    return np.ascontiguousarray(padded.reshape(kinds, -1, lanes).transpose(1, 0, 2))


def pack_shared_table(entries: tuple[int, ...], tables: str) -> NDArray[Any]:
    """A shared table of 257 entries in one of the forms of tables."""
    return pack_words(entries) if tables == "words" else pack_pairs(entries)


def pack_words(entries: tuple[int, ...]) -> NDArray[np.uint16]:
    """A shared table of n + 1 entries as n entries, then the ways from each to the next.

    >>> pack_words((1, 3, 4)).tolist()
    [1, 3, 2, 1]
    """
    return np.concatenate([entries[:-1], np.diff(entries)]).astype(np.uint16)


def pack_pairs(entries: tuple[int, ...]) -> NDArray[np.int32]:
    """A shared table of n + 1 entries as n + 1 numbers: the entry below 2^16, the way to the next one above.

    >>> pack_pairs((1, 3, 4)).tolist() == [(2 << 16) + 1, (1 << 16) + 3, 4]
    True
    """
    table = np.array(entries, np.int32)
    return table + (np.diff(table, append=table[-1:]) << 16)
