"""The middle layer of a line: how its numbers are laid out, with names or without, and what separates them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import msgspec

from edgernn.stream.formats.names import MAX_NAME_BYTES
from edgernn.stream.formats.units import is_unit
from edgernn.stream.formats.values import COMMA_NUMBER, ParsedValue, read_value, refused_form

Layout = Literal["numbers", "named", "json"]
Decimal = Literal[".", ","]

MAX_DEPTH = 8
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_OUTER = re.compile(r"[ \t]*[;|][ \t]*|(?<![,;|\s])[ \t]+(?![,;|\s])")  # ; or | or blanks without a comma beside them
_ANY = re.compile(r"[ \t]*[,;|][ \t]*|[ \t]+")
_LOOSE_COMMA = re.compile(r",[ \t]+|[ \t]+,[ \t]*")
_TIGHT = re.compile(rf"[\"']?{COMMA_NUMBER}[\"']?")
_NAME = r"[^\W\d][^:=,;|\t\"'(){}\[\]<>]{0,63}?|\d+[^\W\d][\w ]{0,62}?"
_NAMED = re.compile(
    rf"[ \t]*[\"']?(?P<name>{_NAME})[\"']?[ \t]*[:=][ \t]*(?P<value>[^\s,;|]+)[ \t]*(?:[,;|][ \t]*|(?<=[ \t])|$)"
)
_NAMED_COMMA = re.compile(
    rf"[ \t]*(?P<name>{_NAME})[ \t]*[:=][ \t]*(?P<value>{COMMA_NUMBER})[ \t]*(?:[,;|][ \t]*|(?<=[ \t])|$)"
)
_TELEPLOT = re.compile(
    r">(?P<name>[^:,;|§]{1,64}):(?:(?P<time>[+-]?\d+(?:\.\d+)?):)?(?P<value>[^\s:;,|§]+)(?:§(?P<unit>[^|]{0,32}))?(?:\|\S*)?"
)
_SEVERAL_TUPLES = re.compile(r"[(\[][-+.\d, ]+[)\]][\s,;]*[(\[][-+.\d]")
_JSON_WORDS = re.compile(r"(?<=[:\[,\s])-?(NaN|Infinity)\b")
_PYTHON_WORDS = (("None", "null"), ("True", "true"), ("False", "false"))


class Fields(NamedTuple):
    """The values of one line.

    Attributes
    ----------
    layout : str
        Whether they are numbers in an order, named ones, or those of JSON.
    values : tuple of ParsedValue
    names : tuple of str
        As many as values, or none.
    decimal : str
        The mark between whole numbers and fractions; empty where no number tells.
    units : tuple of str
        As many as values, or none.
    """

    layout: Layout
    values: tuple[ParsedValue, ...]
    names: tuple[str, ...] = ()
    decimal: str = ""
    units: tuple[str, ...] = ()


class Refused(NamedTuple):
    """Numbers in a form that is not read; `why` is a sentence for people, without its end."""

    why: str


def read_fields(text: str, decimal: Decimal | None = None) -> list[Fields] | Refused | None:
    """The ways to read a line without decorations: one, or two where commas may be in numbers or between them.

    None if it holds text; `Refused` if it holds numbers in a form that is not read. `decimal` is the mark between whole
    numbers and fractions, if it is known.

    Examples
    --------
    >>> [[value.number for value in fields.values] for fields in read_fields("0,5;1,25")]
    [[0.5, 1.25], [0.0, 5.0, 1.0, 25.0]]
    >>> read_fields("x=1 y=2")[0].names
    ('x', 'y')
    >>> read_fields("0x1F,0x20").why
    "hexadecimal numbers, as in '0x1F'"
    """
    if text[:1] == "{" or text[:2] == "[{":
        fields = _json(text)
        return fields if fields is None or isinstance(fields, Refused) else [fields]
    if text[:1] == ">":
        return _teleplot(text)
    if ":" in text or "=" in text:
        return _named(text)
    return _numbers(text, decimal)


# numbers in an order


def _numbers(text: str, decimal: Decimal | None) -> list[Fields] | Refused | None:
    text = text.rstrip(" \t,;|") if text[-1:] in ",;|" else text
    if not text:
        return None
    if "," not in text:
        return _or_refused([_row(_ANY.split(text))], text)
    if decimal == ".":
        return _or_refused([_row(_ANY.split(text))], text)
    outer, loose = _OUTER.split(text), _LOOSE_COMMA.split(text)
    groupings = [groups for groups in (outer, loose) if len(groups) > 1 or decimal == ","]
    with_commas = next((row for groups in groupings if (row := _comma_row(groups)) is not None), None)
    return _or_refused([with_commas, None if decimal == "," else _row(_ANY.split(text))], text)


def _row(fields: list[str], decimal: Decimal = ".") -> Fields | None:
    values = [read_value(_unquoted(field), decimal) for field in fields]
    if not values or any(value is None for value in values):
        return None
    return Fields("numbers", tuple(value for value in values if value is not None), decimal=decimal)


def _comma_row(groups: list[str]) -> Fields | None:
    """Numbers with decimal commas, if that can be: at least one has one, and none has two."""
    if not any("," in group for group in groups) or any(group.count(",") > 1 for group in groups):
        return None
    return _row(groups, ",")


def _unquoted(field: str) -> str:
    return field[1:-1].strip() if len(field) > 1 and field[0] in "\"'" and field[-1] == field[0] else field


def _or_refused(rows: list[Fields | None], text: str) -> list[Fields] | Refused | None:
    found = [row for row in rows if row is not None]
    if found:
        return found
    if _SEVERAL_TUPLES.match(text):
        return Refused("several tuples in a line")
    fields = [_unquoted(field.strip()) for field in re.split(r"[,;|\t]", text)]
    words = text.split()
    if len(words) > 2 and is_unit(words[-1]):
        words[-2:] = [" ".join(words[-2:])]
    return _refusal(fields) or (_refusal(words) if len(fields) == 1 else None)


def _refusal(fields: list[str]) -> Refused | None:
    """Why fields are not read, if all of them are numbers of some kind."""
    reasons = [None if read_value(field) else refused_form(field) for field in fields]
    if not all(reason or read_value(field) for reason, field in zip(reasons, fields, strict=True)):
        return None
    return next((Refused(f"{why}, as in {field!r}") for why, field in zip(reasons, fields, strict=True) if why), None)


# named numbers


def _named(text: str) -> list[Fields] | Refused | None:
    for form, decimal in ((_NAMED, "."), (_NAMED_COMMA, ",")):
        matches = list(_in_a_row(form, text.rstrip(" \t,;|")))
        if not matches:
            continue
        names = tuple(match["name"].strip() for match in matches)
        if len(set(names)) != len(names) or any(len(name.encode()) > MAX_NAME_BYTES for name in names):
            continue
        texts = [_unquoted(match["value"]) for match in matches]
        values = [read_value(field, decimal) for field in texts]
        if all(value is not None for value in values):
            return [Fields("named", tuple(value for value in values if value is not None), names, decimal)]
        if decimal == "." and (refused := _refusal(texts)) is not None:
            return refused
    stripped = re.sub(rf"({_NAME})[ \t]*[:=][ \t]*", "\t", text)
    fields = [field.strip(" ,;|") for field in stripped.split("\t") if field.strip(" ,;|")]
    return _refusal(fields) if stripped != text else None


def _in_a_row(form: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Matches that follow one another without anything between; none if something is left."""
    matches, place = [], 0
    while place < len(text):
        match = form.match(text, place)
        if match is None:
            return
        matches.append(match)
        place = match.end()
    yield from matches


def _teleplot(text: str) -> list[Fields] | Refused | None:
    match = _TELEPLOT.fullmatch(text)
    if match is None:
        return Refused("several values in a line of Teleplot, as in " + repr(text[:40])) if ";" in text else None
    value = read_value(match["value"])
    if value is None:
        return _refusal([match["value"]])
    names, values, units = (match["name"],), (value,), (match["unit"] or "",)
    return [Fields("named", values, names, ".", units if any(units) else ())]


# JSON, and what Python prints of dictionaries


def _json(text: str) -> Fields | Refused | None:
    if _depth(text.encode()) > MAX_DEPTH:
        return None
    causes = {f"{match[1]}" for match in _JSON_WORDS.finditer(text)} if "N" in text or "I" in text else set()
    decoded = _decoded(_JSON_WORDS.sub("null", text) if causes else text)
    if isinstance(decoded, list) and len(decoded) == 1:
        decoded = decoded[0]
    if isinstance(decoded, list) and decoded and all(isinstance(entry, dict) for entry in decoded):
        return Refused("several JSON objects in one list")
    if not isinstance(decoded, dict):
        return None
    missing = "nan" if causes == {"NaN"} else "inf" if causes else "null"
    members = list(_members(decoded, missing)) or list(_members(_as_numbers(decoded), missing))
    names = tuple(name for name, _ in members)
    if not names or len(set(names)) != len(names) or any(len(name.encode()) > MAX_NAME_BYTES for name in names):
        return None
    return Fields("json", tuple(value for _, value in members), names, ".")


def _decoded(text: str) -> Any:
    as_python = text.replace("'", '"')
    for word, other in _PYTHON_WORDS:
        as_python = re.sub(rf"\b{word}\b", other, as_python)
    for candidate in (text, as_python):
        try:
            return msgspec.json.decode(candidate.encode())
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            continue
    return None


def _members(decoded: dict[str, Any], missing: str) -> Iterator[tuple[str, ParsedValue]]:
    """Numbers by name, also those one level deeper; null where a number is missing."""
    for name, member in decoded.items():
        if isinstance(member, dict):
            inner = [(f"{name}.{key}", entry) for key, entry in member.items()]
        elif isinstance(member, list):
            inner = [(f"{name}.{place}", entry) for place, entry in enumerate(member)]
        else:
            inner = [(name, member)]
        for key, entry in inner:
            if entry is None:
                yield key, ParsedValue(math.nan, missing)
            elif isinstance(entry, int | float) and not isinstance(entry, bool):
                yield key, ParsedValue(_real(entry))


def _as_numbers(decoded: dict[str, Any]) -> dict[str, Any]:
    """With numbers that stand in quotes as numbers, where no others are."""
    numbers = {name: read_value(member) for name, member in decoded.items() if isinstance(member, str)}
    return {name: value.number for name, value in numbers.items() if value is not None and value.cause is None}


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
