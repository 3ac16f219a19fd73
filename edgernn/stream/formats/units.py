"""Units by their meaning: different spellings of one unit are the same."""

from __future__ import annotations

import re

# each line holds the spellings of one unit, as `_plain` writes them
_SPELLINGS = (
    ("m/s2", "m/s/s", "ms-2", "m.s-2", "m*s-2", "mps2", "m/sec2", "m/sec/sec"),
    ("g", "gs", "gravity", "g0"),
    ("mg", "millig"),
    ("deg/s", "dps", "degs-1", "deg*s-1", "deg/sec", "degrees/s", "degree/s", "°/s", "°s-1", "º/s", "degpersec"),
    ("rad/s", "rads-1", "rad*s-1", "radians/s", "rad/sec", "rps"),
    ("ut", "microtesla", "microt"),
    ("mt", "millitesla"),
    ("nt", "nanotesla"),
    ("gauss", "ga"),
    ("mgauss", "milligauss", "mga"),
    ("degc", "°c", "ºc", "celsius", "c", "degreesc"),
    ("degf", "°f", "ºf", "fahrenheit"),
    ("k", "kelvin"),
    ("deg", "°", "º", "degree", "degrees"),
    ("rad", "radian", "radians"),
    ("pa", "pascal"),
    ("hpa", "mbar", "millibar"),
    ("kpa", "kilopascal"),
    ("bar",),
    ("v", "volt", "volts"),
    ("mv", "millivolt", "millivolts"),
    ("uv", "microvolt"),
    ("a", "amp", "amps", "ampere"),
    ("ma", "milliamp", "milliamps", "milliampere"),
    ("%", "percent", "pct"),
    ("m", "meter", "metre", "meters", "metres"),
    ("mm", "millimeter", "millimetre"),
    ("cm", "centimeter", "centimetre"),
    ("m/s", "ms-1", "m*s-1", "mps"),
    ("n", "newton"),
    ("nm", "n*m", "newtonmeter"),
    ("lx", "lux"),
    ("s", "sec", "second", "seconds"),
    ("ms", "msec", "millisecond", "milliseconds"),
    ("us", "usec", "microsecond", "microseconds"),
    ("hz", "hertz"),
    ("rpm", "1/min", "r/min"),
    ("ppm",),
    ("counts", "count", "lsb", "raw"),
)
_CANONICAL = {spelling: spellings[0] for spellings in _SPELLINGS for spelling in spellings}
_DIGITS = str.maketrans("²³⁻¹⁰μ·×", "23-10u**")
_CASED = {
    "Nm": "n*m",
    "N*m": "n*m",
    "nm": "nanometer",
    "MPa": "megapascal",
    "mPa": "millipascal",
}


def canonical_unit(text: str) -> str:
    """One spelling for all of a unit; another text stays, without blanks, in small letters.

    Examples
    --------
    >>> [canonical_unit(text) for text in ("m/s²", "m/s^2", "M/S/S", "ms-2", "m s^-2", "m/s**2")]
    ['m/s2', 'm/s2', 'm/s2', 'm/s2', 'm/s2', 'm/s2']
    >>> canonical_unit("°/s"), canonical_unit("dps"), canonical_unit("µT"), canonical_unit("mg"), canonical_unit("Mg")
    ('deg/s', 'deg/s', 'ut', 'mg', 'mg')
    """
    plain = _plain(text)
    plain = _CASED.get(plain, plain).casefold()
    return _CANONICAL.get(plain, plain)


def is_unit(text: str) -> bool:
    """Whether a word is a unit that is known here.

    Examples
    --------
    >>> is_unit("dps"), is_unit("wave")
    (True, False)
    """
    plain = _plain(text)
    return _CASED.get(plain, plain).casefold() in _CANONICAL


def same_unit(one: str, other: str) -> bool:
    """Whether two units mean the same; a unit that is not given is that of the other.

    Examples
    --------
    >>> same_unit("m/s^2", "M/S²"), same_unit("", "g"), same_unit("g", "m/s2"), same_unit("deg/s", "dps")
    (True, True, False, True)
    """
    return not one.strip() or not other.strip() or canonical_unit(one) == canonical_unit(other)


def _plain(text: str) -> str:
    """Without blanks and marks of powers, with digits for raised ones; large and small letters stay."""
    text = text.strip().replace("µ", "u").translate(_DIGITS).replace("**", "").replace("^", "")
    text = re.sub(r"[()]", "", re.sub(r"\s+", "", text))
    return re.sub(r"(?i)(?<=[a-z°])\*(?=s-)", "", text)
