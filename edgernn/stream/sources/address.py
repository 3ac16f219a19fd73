"""Addresses of sources, such as ``serial:///dev/ttyACM0?baud=115200&format=csv``, ``stdin:``, bare names."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode

import msgspec

from edgernn.errors import ConfigError

PYSERIAL_SCHEMES = {"alt", "cp2110", "hwgrep", "loop", "rfc2217", "socket", "spy"}
_SCHEME = re.compile(r"([a-z][a-z0-9+]+):(//)?", re.IGNORECASE)


class SourceAddress(msgspec.Struct, frozen=True):
    """An address taken apart.

    Attributes
    ----------
    scheme : str
        What kind of source it is: a key of `edgernn.stream.sources.SOURCES`.
    location : str
        A device, path or ``host:port``; for pyserial's own schemes the whole address without our options.
    options : dict of str to str
        What stands behind the question mark.
    """

    scheme: str
    location: str
    options: dict[str, str]


def parse_address(text: str, schemes: frozenset[str], serial_options: frozenset[str]) -> SourceAddress:
    """Take the address of a source apart.

    A bare name is a serial port, unless a file of that name exists: then it is replayed.

    Raises
    ------
    ConfigError
        The scheme is unknown, or an option is given twice.

    Examples
    --------
    >>> parse_address("COM3", frozenset({"serial"}), frozenset())
    SourceAddress(scheme='serial', location='COM3', options={})
    """
    match = _SCHEME.match(text)
    if match is None:
        scheme = "replay" if Path(text).is_file() else "serial"
        return SourceAddress(scheme, text, {})
    scheme = match.group(1).lower()
    rest, _, query = text[match.end() :].partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) != len(pairs):
        raise ConfigError(f"source {text}: an option is given twice")
    if scheme in PYSERIAL_SCHEMES:
        ours = {name: value for name, value in options.items() if name in serial_options}
        theirs = urlencode({name: value for name, value in options.items() if name not in serial_options})
        return SourceAddress("serial", f"{match.group(0)}{rest}" + (f"?{theirs}" if theirs else ""), ours)
    if scheme not in schemes:
        known = ", ".join(sorted(schemes | PYSERIAL_SCHEMES))
        raise ConfigError(f"source {text}: there is no kind of source {scheme!r}; known are {known}, or a device name")
    return SourceAddress(scheme, unquote(rest), options)
