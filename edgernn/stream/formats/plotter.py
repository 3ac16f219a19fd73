"""Lines of ``name:number``, as the plotter of the Arduino IDE shows them: the format ``plotter``.

Fields are separated by one comma, by spaces or tabs, or by both. A name has at most 64 bytes and none of those
separators, and stands once in a line. Numbers are written as in the format csv.
"""

from __future__ import annotations

import math
import re
from typing import ClassVar

from edgernn.stream.formats.csv import NUMBER
from edgernn.stream.formats.named import Fields, NamedLines
from edgernn.stream.formats.names import MAX_NAME_BYTES

_FIELD = rf"[^\s:,;\x00-\x1f]{{1,{MAX_NAME_BYTES}}}:[ \t]?{NUMBER}"
_LINE = re.compile(rf"[ \t]*{_FIELD}(?:(?:[ \t]*,[ \t]*|[ \t]+){_FIELD})*[ \t,]*".encode(), re.IGNORECASE)
_ONE = re.compile(rf"([^\s:,;]+):[ \t]?({NUMBER})".encode(), re.IGNORECASE)


class Plotter(NamedLines):
    """Parser of lines of ``name:number``.

    Examples
    --------
    >>> parser = Plotter(2, channels=("x", "y"), whole_start=True)
    >>> [samples.values.tolist() for samples in parser.feed(b"x:1,y:-2.5\\r\\ny:4\\tx:3\\r\\nready\\r\\n")]
    [[[1.0, -2.5], [3.0, 4.0]]]
    """

    name: ClassVar[str] = "plotter"

    @staticmethod
    def fields(line: bytes) -> Fields | None:
        if not _LINE.fullmatch(line):
            return None
        found = [(name.decode("utf-8", "backslashreplace"), _number(text)) for name, text in _ONE.findall(line)]
        fields = dict(found)
        return fields if len(fields) == len(found) else None


def _number(text: bytes) -> float:
    return math.nan if text.lower().endswith(b"ovf") else float(text)
