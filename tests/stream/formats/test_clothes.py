"""The same samples in random combinations of decoration, layout and separators: they come out as they went in."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import reduce
from operator import xor

import numpy as np
from byte_streams import cuts, pieces
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.errors import FormatError
from edgernn.stream.formats import make_format
from edgernn.stream.formats.detect import Detector
from edgernn.stream.formats.needs import Needs

NAMES = ("x", "y", "z")
NEEDS = Needs(3, NAMES)
Row = list[str]

numbers = st.decimals(-999, 999, places=2, allow_nan=False).map(str)
rows = st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=3, max_size=8)

# numbers in an order: what stands between them, and what around all of them
SEPARATORS = (",", ", ", " , ", ";", "; ", "\t", " ", "  ", "|", " | ", ",\t")
BRACKETS = ("{}", "({})", "[{}]", "<{}>", "{{{}}}", "{},", "{} ")
QUOTES = ("{}", '"{}"', "'{}'")


def in_order(separator: str, bracket: str, quote: str) -> Callable[[Row], str]:
    return lambda row: bracket.format(separator.join(quote.format(field) for field in row))


def decimal_commas(separator: str) -> Callable[[Row], str]:
    return lambda row: separator.join(field.replace(".", ",") for field in row)


def named(join: str, between: str, order: list[int], prefix: str) -> Callable[[Row], str]:
    return lambda row: between.join(f"{prefix}{NAMES[k]}{join}{row[k]}" for k in order)


def as_json(order: list[int], nested: bool, compact: bool, extra: bool) -> Callable[[Row], str]:
    def line(row: Row) -> str:
        members = {NAMES[k]: float(row[k]) for k in order}
        whole = {"acc": members} if nested else members
        separators = (",", ":") if compact else None
        return json.dumps({**({"board": "nano", "heap": 7} if extra else {}), **whole}, separators=separators)

    return line


def one_each(mark: str) -> Callable[[Row], str]:
    return lambda row: "\n".join(f"{mark}{name}:{field}" for name, field in zip(NAMES, row, strict=True))


orders = st.permutations([0, 1, 2])
plain = st.builds(in_order, st.sampled_from(SEPARATORS), st.sampled_from(BRACKETS), st.sampled_from(QUOTES))
commas = st.builds(decimal_commas, st.sampled_from([";", "; ", "\t", " ", " ; ", "|"]))
JOINS = (":", "=", ": ", "= ", " = ")
pairs = st.builds(named, st.sampled_from(JOINS), st.sampled_from([",", " ", "\t", ", ", ";"]), orders, st.just(""))
titled = st.builds(named, st.sampled_from([":", "="]), st.sampled_from([",", ";", "\t"]), orders, st.just("acc "))
objects = st.builds(as_json, orders, st.booleans(), st.booleans(), st.booleans())

# what stands before the numbers of each line; the number of the line is k
PREFIXES: tuple[Callable[[int], str], ...] = (
    lambda k: "",
    lambda k: f"I ({1000 + 20 * k}) imu: ",
    lambda k: f"[00:00:01.{k:03d},000] <inf> imu: ",
    lambda k: f"12:00:{k:02d}.250 -> ",
    lambda k: f"[12:00:{k:02d}] ",
    lambda k: f"2024-05-01T12:00:{k:02d}.123Z ",
    lambda k: f"2024-05-01 12:00:{k:02d},",
    lambda k: f"[   {k}.250000] ",
    lambda k: f"\x1b[0;32mI ({k}) app_main: ",
    lambda k: f"12:00:{k:02d}.250 -> I ({k}) imu: ",
)
IDENTIFIERS = ("", "dev01,", "node-7: ", "Data: ", "AA:BB:CC:DD:EE:FF ", "[left] ")
ENDS = ("\n", "\r\n", "\r", "\0\n", "\0", "\x1b[0m\n", " \r\n")


def nmea(body: str) -> str:
    return f"$IMU,{body}*{reduce(xor, f'IMU,{body}'.encode()):02X}"


@st.composite
def dressed(draw: st.DrawFn) -> tuple[bytes, list[Row]]:
    """Bytes, and the samples in them."""
    samples = draw(rows)
    kind = draw(st.sampled_from(["order", "commas", "pairs", "titled", "json", "one", "nmea", "serialplot"]))
    layouts = {"order": plain, "commas": commas, "pairs": pairs, "titled": titled, "json": objects}
    end = draw(st.sampled_from(ENDS))
    if kind == "one":
        lines = [one_each(draw(st.sampled_from([">", "", "", ">"])))(row).replace("\n", end) for row in samples]
        return "".join(line + end for line in lines).encode(), samples
    if kind in ("nmea", "serialplot"):
        bodies = [",".join(row) for row in samples]
        framed = [nmea(body) if kind == "nmea" else f"${body};" for body in bodies]
        return "".join(line + end for line in framed).encode(), samples
    layout = draw(layouts[kind])
    prefix = draw(st.sampled_from(PREFIXES))
    identifier = draw(st.sampled_from(IDENTIFIERS)) if kind == "order" else ""
    lines = [prefix(k) + identifier + layout(row) for k, row in enumerate(samples)]
    return "".join(line + end for line in lines).encode(), samples


@settings(max_examples=400)
@given(dressed(), cuts)
def test_samples_come_out_of_any_clothes_or_are_refused(sent: tuple[bytes, list[Row]], fractions: list[float]) -> None:
    data, samples = sent
    detector, found = Detector(whole_start=True, needs=NEEDS), None
    try:
        for place, part in enumerate(parts := pieces(data, fractions)):
            if (found := detector.feed(part)) is not None:
                rest = parts[place + 1 :]
                break
        else:
            found, rest = detector.finish(), []
    except FormatError as error:
        if "can be read in two ways" not in str(error):
            raise
        return
    assert found is not None, data
    parser = make_format(
        found.format, found.width, form=found.form, channels=found.channels, whole_start=detector.whole_start
    )
    blocks = [block.values.copy() for part in [bytes(detector.seen), *rest] for block in parser.feed(part)]
    values = np.concatenate(blocks)  # (n, width)
    if found.channels:
        values = values[:, [[name.split()[-1].split(".")[-1] for name in found.channels].index(name) for name in NAMES]]
    assert values.tolist() == [[float(field) for field in row] for row in samples]
    assert parser.count("samples") == len(samples)
    assert parser.counts.sum() == len(samples)
