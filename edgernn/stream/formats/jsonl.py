"""A JSON object for each line: the format ``jsonl``.

The members that are numbers make the sample, under their names; ``null`` is a number that is not finite. Other members
are passed over. A line that nests deeper than 8 is no sample. Members with the names in
`edgernn.stream.formats.names` are the sender's clock and sequence.
"""

from __future__ import annotations

import math
from typing import ClassVar

import msgspec

from edgernn.stream.formats.named import Fields, NamedLines
from edgernn.stream.formats.names import MAX_NAME_BYTES

MAX_DEPTH = 8
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))


class JsonLines(NamedLines):
    """Parser of JSON objects, one each line.

    Examples
    --------
    >>> parser = JsonLines(2, channels=("x", "y"), whole_start=True)
    >>> [samples.values.tolist() for samples in parser.feed(b'{"x": 1, "y": -2.5, "unit": "g"}\\n{"x": 3}\\n')]
    [[[1.0, -2.5]]]
    >>> parser.count("wrong_width")
    1
    """

    name: ClassVar[str] = "jsonl"

    @staticmethod
    def fields(line: bytes) -> Fields | None:
        if not line.lstrip().startswith(b"{") or _depth(line) > MAX_DEPTH:
            return None
        try:
            decoded = msgspec.json.decode(line, type=dict[str, object])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        fields: Fields = {}
        for name, value in decoded.items():
            if value is None:
                fields[name] = math.nan
            elif isinstance(value, int | float) and not isinstance(value, bool):
                fields[name] = _real(value)
        if not fields or any(len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES for name in fields):
            return None
        return fields


def _real(value: float) -> float:
    """A number of JSON, which may be a whole one beyond every float."""
    try:
        return float(value)
    except OverflowError:
        return 1e300 if value > 0 else -1e300


def _depth(line: bytes) -> int:
    """How deep a line nests at the most: brackets in texts count too."""
    depth = deepest = 0
    for bracket in line.translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"{[" else -1
        deepest = max(deepest, depth)
    return deepest
