"""How int8 weights are laid out for the integer kernels: in panels, as packing.py has them for float.

A panel belongs to `lanes` units. Its head holds, for each gate, six registers of int32: where the sum starts,
multiplier, shift before, rounding and shift after (the rescaling of ARITHMETIC.md without a 64-bit product), and bias.
Behind it follow groups of columns (int8_forms.py): for each gate `lanes` units, for each unit the group's weights side
by side. Units and columns beyond the last have weight 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgernn.kernels.int8_forms import FORMS

HEAD_REGISTERS = 6

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


def split_shift(shift: Integers) -> tuple[Integers, Integers, Integers]:
    """Shift before, rounding and shift after the product's high half, each int32 of the same shape.

    >>> [int(array) for array in split_shift(np.array(14))], [int(array) for array in split_shift(np.array(20))]
    ([3, 1, 1], [0, 8, 4])
    """
    before = np.maximum(0, 17 - shift.astype(np.int32))
    after = np.maximum(17, shift.astype(np.int32)) - 16
    return before, np.int32(1) << (after - 1), after


def padded_columns(columns: int, form: str) -> int:
    """Columns of a panel, with those that fill up the last group."""
    step = FORMS[form].step
    return -(-columns // step) * step


def pack_int8_panels(rows: GateRows, lanes: int, form: str) -> NDArray[np.uint8]:
    """Lay out rows as panels, (panels, bytes of a panel)."""
    gates, units, columns = rows.W.shape
    panels, group = -(-units // lanes), FORMS[form].columns
    W = np.zeros((gates, panels * lanes, padded_columns(columns, form)), np.int8)
    W[:, :units, :columns] = rows.W
    W = W.reshape(gates, panels, lanes, -1, group).transpose(1, 3, 0, 2, 4)  # (panels, groups, gates, lanes, group)
    start = -FORMS[form].offset * rows.W.astype(np.int32).sum(axis=2)  # (gates, units)
    before, rounding, after = split_shift(rows.shift)
    head = np.zeros((gates, HEAD_REGISTERS, panels * lanes), np.int32)
    head[:, 4] = 1  # a shift that exists, for units beyond the last
    head[:, :, :units] = np.stack([start, rows.multiplier, before, rounding, after, rows.B], axis=1)
    head = np.ascontiguousarray(head.reshape(gates, HEAD_REGISTERS, panels, lanes).transpose(2, 0, 1, 3))
    parts = (head.reshape(panels, -1).view(np.uint8), np.ascontiguousarray(W).reshape(panels, -1).view(np.uint8))
    return np.concatenate(parts, axis=1)


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
