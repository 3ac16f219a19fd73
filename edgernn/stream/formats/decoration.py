"""The outer layer of a line: text that stands around the numbers, taken off piece by piece.

Each kind of decoration before the numbers is one row of `_BEFORE`. A decoration has a name for people, and the word in
it that is the same in every line (a tag, an identifier), so that lines of another tag are told apart.
"""

from __future__ import annotations

import re
from functools import reduce
from operator import xor
from typing import NamedTuple

from edgernn.stream.formats.units import is_unit
from edgernn.stream.formats.values import MISSING

_ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[()][A-Z0-9]|[@-Z\\^_])")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_AFTER_TIME = r"(?:\]|\s*->|\s+-(?=\s)|\s*[,;|]|:)?\s*"
_CLOCK = r"\d{1,2}:\d\d:\d\d(?:\.\d+)?(?:,\d{3}(?=[\s\]]))?"
_WORD = r"[^\W\d][\w.-]{0,63}"

# what may stand before the numbers: a name, and where it is; the group "word" is the same in every line
_BEFORE = (
    ("ESP-IDF log prefix", re.compile(rf"[EWIDV] \((?:\d+|{_CLOCK})\) (?P<word>[^:]{{1,64}}): ")),
    ("Zephyr log prefix", re.compile(rf"\[{_CLOCK}\] <(?:err|wrn|inf|dbg)> (?P<word>[\w.]{{1,64}}): ")),
    ("ISO time", re.compile(rf"\[?\d{{4}}-\d\d-\d\d[T ]{_CLOCK}(?:Z|[+-]\d\d:?\d\d)?{_AFTER_TIME}")),
    ("clock time", re.compile(rf"\[?{_CLOCK}(?: ?[AaPp][Mm])?{_AFTER_TIME}")),
    ("time since start", re.compile(r"\[ *\d+(?:\.\d+)?\] ")),
    ("log level", re.compile(r"\[?(?:INFO|DEBUG|WARN(?:ING)?|ERROR|TRACE)\]?:? ")),
    ("identifier", re.compile(r"(?P<word>(?:[0-9A-F]{2}:){5}[0-9A-F]{2})[,;|\s]\s*", re.IGNORECASE)),
    ("identifier", re.compile(rf"\[(?P<word>{_WORD})\]\s*[,;:]?\s*")),
    ("title", re.compile(rf"(?P<word>{_WORD})\s*:\s+(?={_WORD}\s*[:=]\s*[-+.\d])")),
    ("identifier", re.compile(rf"(?P<word>{_WORD}(?: {_WORD})?)(?:\s*[:=,;|\t]\s*| +)(?=[-+.\d(\[{{<\"'])")),
)
_AFTER = re.compile(rf"(?P<body>.*[\d)\]>\"'])(?:\s*[,;|\t]\s*|\s+)(?P<word>{_WORD})")
_SEVERAL = re.compile(r"[-+.\d][,;|\s)\]\"']+[-+.\d\"']|[(\[{<]")  # numbers
_NAMED_TUPLE = re.compile(rf"(?P<word>{_WORD})\((?P<body>[^()]*=[^()]*)\)")
_SERIALPLOT = re.compile(r"\$(?P<body>[^*$]*);")
_NMEA = re.compile(r"[$!](?P<body>(?P<word>[A-Za-z][\w]{0,15}),[^*$]*)(?:\*(?P<sum>[0-9A-Fa-f]{2}))?")
_BRACKETS = (
    ("(", ")", "parentheses"),
    ("[", "]", "square brackets"),
    ("{", "}", "braces"),
    ("<", ">", "angle brackets"),
)
_NO_IDENTIFIER = re.compile(MISSING, re.IGNORECASE)
AFTER_NUMBERS = "identifier after the numbers"
MAX_BEFORE = 4  # decorations before the numbers of one line


class Decoration(NamedTuple):
    """Text around the numbers: its kind, and the word in it that stands in every line of the same sender."""

    kind: str
    word: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.word}" if self.word else self.kind


class Bare(NamedTuple):
    """The text of a line without its decorations. `is_damaged` says that a checksum in it is wrong."""

    text: str
    decorations: tuple[Decoration, ...]
    is_damaged: bool = False


def plain_text(line: bytes) -> str | None:
    """A line without byte order mark, terminal colours, NUL at its end and blanks around; None if it is no text.

    Bytes that are no UTF-8 are read as latin-1, as boards send µ and ².

    Examples
    --------
    >>> plain_text(b"\\xef\\xbb\\xbf\\x1b[32mready\\x1b[0m\\x00"), plain_text(b"\\xb5T"), plain_text(b"\\x01\\x02")
    ('ready', 'µT', None)
    """
    line = line.removeprefix(b"\xef\xbb\xbf").strip(b"\0 \t")
    try:
        text = line.decode()
    except UnicodeDecodeError:
        text = line.decode("latin-1")
    if "\x1b" in text:
        text = _ESCAPE.sub("", text)
    return None if _CONTROL.search(text) else text.strip().strip("\0")


def undecorated(text: str) -> Bare:
    """Take the decorations off a line, from the outside to the inside.

    Examples
    --------
    >>> undecorated("I (1234) imu: (1, 2, 3)").text
    '1, 2, 3'
    >>> undecorated("$IMU,1,2,3*5B").is_damaged
    True
    """
    found: list[Decoration] = []
    text, damaged = _frame(text, found)
    if match := _NAMED_TUPLE.fullmatch(text):
        return Bare(match["body"], (*found, Decoration("named tuple", match["word"])), damaged)
    for _ in range(MAX_BEFORE):
        if (rest := _without_prefix(text, found)) is None:
            break
        text = rest
    match = _AFTER.fullmatch(text)
    if match is not None and not _NO_IDENTIFIER.fullmatch(match["word"]) and not is_unit(match["word"]):
        found.append(Decoration(AFTER_NUMBERS, match["word"]))
        text = match["body"]
    return Bare(_without_brackets(text, found), tuple(found), damaged)


def _frame(text: str, found: list[Decoration]) -> tuple[str, bool]:
    """Without the frame of SerialPlot or NMEA 0183; whether its checksum is wrong."""
    if match := _SERIALPLOT.fullmatch(text):
        found.append(Decoration("frame $…; of SerialPlot"))
        return match["body"].strip(), False
    match = _NMEA.fullmatch(text)
    if match is None:
        return text, False
    found.append(Decoration("NMEA sentence", match["word"]))
    body = match["body"]
    wrong = match["sum"] is not None and reduce(xor, body.encode("latin-1", "replace"), 0) != int(match["sum"], 16)
    return body.partition(",")[2].strip(), wrong


def _without_prefix(text: str, found: list[Decoration]) -> str | None:
    """Without the first decoration that stands before the numbers; None if there is none."""
    for kind, form in _BEFORE:
        match = form.match(text)
        if match is None or match.end() == len(text):
            continue
        word = match.groupdict().get("word") or ""
        if kind == "identifier" and (_NO_IDENTIFIER.fullmatch(word) or _is_named_field(text, match)):
            continue
        found.append(Decoration(kind, word))
        return text[match.end() :]
    return None


def _is_named_field(text: str, match: re.Match[str]) -> bool:
    """Whether the word is the name of the one number after it, as in ``x:1`` or ``x:1,y:2``."""
    if match[0].rstrip()[-1:] not in ":=":
        return False
    rest = text[match.end() :]
    return ":" in rest or "=" in rest or not _SEVERAL.search(rest)


def _without_brackets(text: str, found: list[Decoration]) -> str:
    """Without brackets around all numbers, two deep at the most."""
    for _ in range(2):
        for opening, closing, name in _BRACKETS:
            inner = text[1:-1]
            if text[:1] == opening and text[-1:] == closing and opening not in inner and ":" not in inner:
                found.append(Decoration(name))
                text = inner.strip()
    return text
