"""Where the values of a step live: arrays that are in use at different times share a piece of scratch memory."""

from __future__ import annotations

import msgspec

TYPE_BYTES = {"float32": 4, "int32": 4, "int16": 2, "int8": 1, "int64": 8, "float64": 8}  # float64 as edgernn_sum
GRANULE = 4  # elements; keeps every array of a type at a multiple of eight bytes


class Lifetime(msgspec.Struct, frozen=True):
    """Elements in use from operation `first` to operation `last`, both included."""

    size: int
    first: int
    last: int


def place(intervals: dict[str, Lifetime]) -> tuple[dict[str, int], int]:
    """Offsets at which arrays that are in use together do not overlap, and the total size; large arrays first.

    Examples
    --------
    >>> place({"a": Lifetime(8, 0, 1), "b": Lifetime(4, 1, 2), "c": Lifetime(8, 2, 3)})
    ({'a': 0, 'c': 0, 'b': 8}, 12)
    """
    offsets: dict[str, int] = {}
    placed: list[tuple[int, int, Lifetime]] = []  # begin, end
    for name, interval in sorted(intervals.items(), key=lambda item: -item[1].size):
        size = -(-interval.size // GRANULE) * GRANULE
        begin = 0
        for start, stop, other in sorted(placed, key=lambda entry: entry[:2]):
            together = other.first <= interval.last and interval.first <= other.last
            if together and start < begin + size and begin < stop:
                begin = stop
        placed.append((begin, begin + size, interval))
        offsets[name] = begin
    return offsets, max((end for _, end, _ in placed), default=0)
