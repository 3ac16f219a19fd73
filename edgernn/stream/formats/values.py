"""The innermost layer of a line: the text of one field to a number, a missing value, or a form that is refused."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

MAX_FLOAT32 = 3.4028235677973362e38  # everything above rounds to infinity

# why a number is missing, as counted
CAUSES = ("nan", "null", "na", "dashes", "inf", "ovf")

NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
COMMA_NUMBER = r"[+-]?\d+(?:,\d+)?(?:[eE][+-]?\d+)?"
MISSING = r"[+-]?nan|null|none|nil|n/?a|--|[+-]?inf(?:inity)?|[+-]?ovf"

_NUMBER = re.compile(NUMBER, re.ASCII)
_COMMA_NUMBER = re.compile(COMMA_NUMBER, re.ASCII)
_MISSING = re.compile(
    r"(?P<nan>[+-]?nan)|(?P<null>null|none|nil)|(?P<na>n/?a)|(?P<dashes>--)|(?P<inf>[+-]?inf(?:inity)?)|(?P<ovf>[+-]?ovf)",
    re.IGNORECASE | re.ASCII,
)
_REFUSED = {
    "hexadecimal numbers": re.compile(r"[+-]?0x[0-9a-f]+", re.IGNORECASE | re.ASCII),
    "binary numbers": re.compile(r"[+-]?0b[01]+", re.IGNORECASE | re.ASCII),
    "apostrophes in numbers": re.compile(r"[+-]?\d+(?:['’]\d{3})+(?:\.\d*)?", re.ASCII),
    "underscores in numbers": re.compile(r"[+-]?[\d.]+(?:_\d+)+(?:\.\d*)?", re.ASCII),
    "units after numbers": re.compile(rf"(?:{NUMBER})\s*(?:[^\W\d]|[°%µ])[\w°%µ²³/^*.-]{{0,11}}"),
}


class ParsedValue(NamedTuple):
    """A number; NaN if it is missing, for a cause of `CAUSES`, or out of the range of float32 (cause None)."""

    number: float
    cause: str | None = None


def read_value(text: str, decimal: str = ".") -> ParsedValue | None:
    """The value in a field without blanks around it; None if it holds none.

    Examples
    --------
    >>> read_value("-1.5e3"), read_value("0,5", ",")
    (ParsedValue(number=-1500.0, cause=None), ParsedValue(number=0.5, cause=None))
    >>> read_value("N/A"), read_value("0x1F")
    (ParsedValue(number=nan, cause='na'), None)
    """
    if decimal == ",":
        if _COMMA_NUMBER.fullmatch(text):
            return ParsedValue(float(text.replace(",", ".")))
    elif _NUMBER.fullmatch(text):
        return ParsedValue(float(text))
    match = _MISSING.fullmatch(text)
    if match is None:
        return None
    return ParsedValue(math.nan, match.lastgroup)


def refused_form(text: str) -> str | None:
    """What kind of number that is not read stands in a field; None if it is a number, missing or other text.

    Examples
    --------
    >>> refused_form("0x1F"), refused_form("1_000"), refused_form("9.81 m/s2"), refused_form("ready")
    ('hexadecimal numbers', 'underscores in numbers', 'units after numbers', None)
    """
    return next((name for name, form in _REFUSED.items() if form.fullmatch(text)), None)
