"""Lines that name their numbers: plotter and jsonl, in any split, with everything else counted by kind."""

import json
import math

import numpy as np
import pytest
from byte_streams import cuts, parse, pieces
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.stream.formats import make_format
from edgernn.stream.formats.base import KINDS, MAX_FRAME_BYTES, SLICE_BYTES, Format
from edgernn.stream.formats.detect import Detector

NUMBERS = st.floats(-(2.0**100), 2.0**100, width=32)


def plotter(x: float, y: float) -> bytes:
    return f"x:{x!r},y:{y!r}\r\n".encode()


def jsonl(x: float, y: float) -> bytes:
    return json.dumps({"x": x, "board": "nano", "y": y}).encode() + b"\n"


LINES = {"plotter": plotter, "jsonl": jsonl}


def parser(name: str, **options: bool) -> Format:
    return make_format(name, 2, channels=("x", "y"), **options)


def counts(parser: Format) -> dict[str, int]:
    return {kind: count for kind in KINDS if (count := parser.count(kind))}


@pytest.mark.parametrize("name", LINES)
@settings(max_examples=40)
@given(rows=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=20), fractions=cuts)
def test_numbers_come_back_exactly_in_any_split(
    name: str, rows: list[tuple[float, float]], fractions: list[float]
) -> None:
    data = b"".join(LINES[name](*row) for row in rows)
    found = parse(parser(name, whole_start=True), pieces(data, fractions))
    np.testing.assert_array_equal(found, np.array(rows, np.float64).reshape(-1, 2))


@pytest.mark.parametrize("name", LINES)
@settings(max_examples=60)
@given(parts=st.lists(st.binary(max_size=200) | st.just(b"x:1,y:2\n") | st.just(b'{"x":1,"y":2}\n'), max_size=30))
def test_any_bytes_are_parsed_or_counted_and_two_lines_later_all_is_well(name: str, parts: list[bytes]) -> None:
    one = parser(name)
    parse(one, parts)
    assert one._pending <= MAX_FRAME_BYTES
    before = one.count("samples")
    found = parse(one, [b"\n", LINES[name](1.5, 2.5), LINES[name](3.5, 4.5)])
    assert found.tolist() == [[1.5, 2.5], [3.5, 4.5]]
    assert one.count("samples") == before + 2


@settings(max_examples=40)
@given(data=st.binary(max_size=400), fractions=cuts)
def test_counts_do_not_depend_on_the_split(data: bytes, fractions: list[float]) -> None:
    data = data.replace(b"\x00", b"x:1,y:2\n")
    whole, split = parser("plotter"), parser("plotter")
    assert parse(whole, [data]).tolist() == parse(split, pieces(data, fractions)).tolist()
    assert counts(whole) == counts(split)


@pytest.mark.parametrize(
    ("name", "line", "kind"),
    [
        ("plotter", b"x:1", "wrong_width"),
        ("plotter", b"x:1,z:2", "wrong_width"),
        ("plotter", b"x:1,x:2", "text"),
        ("plotter", b"x:0x10,y:2", "text"),
        ("plotter", b"ready", "text"),
        ("plotter", b"x:1,y:2\x1b", "malformed"),
        ("plotter", b"x:1.2.3,y:2", "text"),
        ("plotter", b"x:" + b"1" * MAX_FRAME_BYTES + b",y:2", "too_long"),
        ("jsonl", b'{"x":1}', "wrong_width"),
        ("jsonl", b'{"x":1,"y":true}', "wrong_width"),
        ("jsonl", b'{"x":1,"y":', "text"),
        ("jsonl", b"[1,2]", "text"),
        ("jsonl", b'{"x":\xff\xfe\xfd}', "malformed"),
        ("jsonl", b'{"x":1,"y":2,"z":' + b"[" * 9 + b"]" * 9 + b"}", "text"),
    ],
)
def test_what_is_no_sample_is_counted_by_kind(name: str, line: bytes, kind: str) -> None:
    one = parser(name, whole_start=True)
    assert not len(parse(one, [line + b"\n"]))
    assert counts(one) == {kind: 1}


@pytest.mark.parametrize(
    ("name", "line", "kind"),
    [
        ("plotter", b"x:nan,y:2", "non_finite"),
        ("plotter", b"x:-inf,y:2", "non_finite"),
        ("plotter", b"x:ovf,y:2", "non_finite"),
        ("plotter", b"x:1e39,y:2", "out_of_range"),
        ("jsonl", b'{"x":null,"y":2}', "non_finite"),
        ("jsonl", b'{"x":1e39,"y":2}', "out_of_range"),
        ("jsonl", b'{"x":' + b"9" * 400 + b',"y":2}', "out_of_range"),
    ],
)
def test_numbers_that_are_none_stand_as_nan(name: str, line: bytes, kind: str) -> None:
    one = parser(name, whole_start=True)
    ((x, y),) = parse(one, [line + b"\n"])
    assert math.isnan(x)
    assert y == 2
    assert counts(one) == {"samples": 1, kind: 1}


def test_the_rest_of_a_line_whose_beginning_was_not_seen_is_passed_over() -> None:
    one = parser("plotter")
    assert parse(one, [b"y:7\n", b"x:1,y:2\n"]).tolist() == [[1, 2]]
    one.resynchronise()
    assert parse(one, [b"3,y:2\n" + b"x:5,y:6\n"]).tolist() == [[5, 6]]
    assert counts(one) == {"samples": 2, "partial": 2}


def test_a_line_without_an_end_is_dropped_and_counted_once() -> None:
    one = parser("jsonl", whole_start=True)
    assert not len(parse(one, [b"{" * SLICE_BYTES] * 20))
    assert parse(one, [b"}\n" + jsonl(1.0, 2.0)]).tolist() == [[1, 2]]
    assert counts(one) == {"samples": 1, "too_long": 1}


def test_detection_keeps_the_names() -> None:
    for line, expected in (
        (b"ax:1\tay:2.5\n", ("plotter", 2, ("ax", "ay"))),
        (b'{"t": 5, "who": "me", "x": null}\n', ("jsonl", 2, ("t", "x"))),
    ):
        found = Detector(whole_start=True).feed(2 * line)
        assert found is not None
        assert found[:3] == expected
    assert Detector("csv", whole_start=True).feed(b"ax:1\nax:2\n") is None
    assert Detector(whole_start=True).feed(2 * b"12:30:45\n") is None
