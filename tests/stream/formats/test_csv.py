"""The csv parser against Python's own float, in any split of the bytes, and on the dirt that boards send."""

import re

import numpy as np
import pytest
from byte_streams import cuts, parse, pieces
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.errors import FormatError
from edgernn.stream.formats.base import KINDS, MAX_FRAME_BYTES, SLICE_BYTES
from edgernn.stream.formats.csv import Csv

DIRT = st.sampled_from(list(b"0123456789.,-+eE \t;naifovx#\x1b\x00\xff\r\n"))
dirty_bytes = st.lists(DIRT, max_size=200).map(bytes)
dirty_text = st.lists(st.sampled_from(list(b"0123456789.,-+eE \t;naifovx#\r\n")), max_size=200).map(bytes)
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


def counts(parser: Csv) -> dict[str, int]:
    return {kind: count for kind, count in zip(KINDS, parser.counts.tolist(), strict=True) if count}


@settings(max_examples=200)
@given(dirty_bytes, cuts, st.integers(1, 3), st.booleans())
def test_any_split_gives_the_same(data: bytes, fractions: list[float], width: int, whole_start: bool) -> None:
    whole, split = Csv(width, whole_start=whole_start), Csv(width, whole_start=whole_start)
    np.testing.assert_array_equal(parse(whole, [data]), parse(split, pieces(data, fractions)))
    assert counts(whole) == counts(split)


def read_line(line: bytes, width: int) -> tuple[str, list[float]]:
    """Kind of a line by Python's own means, and its numbers."""
    text = line.decode("latin-1").strip(" \t")
    fields = re.split(r"[ \t]*[,;][ \t]*|[ \t]+", text)
    if len(fields) > 1 and fields[-1] == "":
        fields.pop()
    numbers = []
    for place, field in enumerate(fields):
        word = re.sub("^(--|na)$", "nan", re.sub("^([+-]?)ovf$", r"\1inf", field.lower()))
        try:
            if re.search("[_\x80-\xff\x00-\x1f]", word):
                raise ValueError
            numbers.append(float(word))
        except ValueError:
            control = any((byte < 32 and byte != 9) or byte > 126 for byte in line)
            return "text" if place == 0 and not control else "malformed", []
    return "samples" if len(numbers) == width else "wrong_width", numbers


@settings(max_examples=300)
@given(dirty_text, st.integers(1, 3))
def test_lines_are_understood_as_python_does(data: bytes, width: int) -> None:
    expected = dict.fromkeys(KINDS, 0)
    samples = []
    for line in re.split(b"[\r\n]", data)[:-1]:
        if not line.strip(b" \t"):
            continue
        kind, numbers = read_line(line, width)
        expected[kind] += 1
        if kind == "samples":
            samples.append([number if abs(number) < 3.4e38 else np.nan for number in numbers])
            expected["non_finite"] += bool(re.search(b"n|f|--", line, re.IGNORECASE))
            expected["out_of_range"] += any(
                abs(float(word)) > 3.4e38 for word in re.findall(rb"[\d.]+e\+?\d+", line.lower())
            )
    parser = Csv(width, whole_start=True)
    np.testing.assert_allclose(parse(parser, [data]), np.array(samples).reshape(-1, width), rtol=1e-15)
    assert counts(parser) == {kind: count for kind, count in expected.items() if count}


@settings(max_examples=200)
@given(finite, st.sampled_from(["{!r}", "{:.3f}", "{:.9g}", "{:.6e}", "+{:.2f}", " {:.17g}", "{:.1f};"]))
def test_numbers_are_pythons_to_one_ulp_of_float32(number: float, form: str) -> None:
    text = form.format(abs(number) if form.startswith("+") else number)
    values = parse(Csv(1, whole_start=True), [text.encode() + b"\n"])
    expected = np.float32(float(text.rstrip(";")))
    assert abs(float(np.float32(values[0, 0])) - float(expected)) <= max(abs(float(expected)) * 2**-23, 2**-149)


@given(st.integers(-(10**15), 10**15), st.integers(0, 20))
@settings(max_examples=100)
def test_numbers_of_fifteen_digits_are_exact(digits: int, places: int) -> None:
    text = f"{digits}e-{places}"
    assert parse(Csv(1, whole_start=True), [text.encode() + b"\n"])[0, 0] == float(text)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"ax,ay,az", "text"),
        (b"-,-,-", "text"),
        (b"---", "text"),
        (b"ERR: sensor", "text"),
        (b"# 1,2,3", "text"),
        (b"1.0g,2.0g,3.0g", "text"),
        (b"x:1,y:2,z:3", "text"),
        (b"1,2,\x003", "malformed"),
        (b"1,,3", "malformed"),
        (b"1,2,three", "malformed"),
        (b"1,2,3e", "malformed"),
        (b"1,2,3-4", "malformed"),
        (b"1,2,0x10", "malformed"),
        (b"1,2,1.2.3", "malformed"),
        (b"1,2", "wrong_width"),
        (b"1,2,3,4", "wrong_width"),
        (b"9" * (MAX_FRAME_BYTES + 1), "too_long"),
    ],
)
def test_what_is_no_sample_is_counted(line: bytes, kind: str) -> None:
    parser = Csv(3, whole_start=True)
    samples = parse(parser, [b"1,2,3\n" + line + b"\r\n4,5,6\n"])
    assert samples.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert counts(parser) == {"samples": 2, kind: 1}


@pytest.mark.parametrize(
    "line",
    [
        b"1,2,3,",
        b"1 2 3",
        b"\x1b[2J1,2,3\x1b[0m",
        b"'1';'2';'3'",
        b"1|2|3\0",
        b"1\t2\t3",
        b"1; 2; 3",
        b"  1 , 2,  3  ",
        b"+1,2.,.3e1",
    ],
)
def test_styles_of_lines(line: bytes) -> None:
    assert parse(Csv(3, whole_start=True), [line + b"\r"]).tolist() == [[1, 2, 3]]


def test_numbers_that_are_not_finite_stand_as_nan_and_are_counted() -> None:
    parser = Csv(2, whole_start=True)
    samples = parse(parser, [b"nan,1\n2,-INF\novf,infinity\n1e39,3\n4,-3.5e38\n1e999999999999,5\n"])
    assert np.isnan(samples).tolist() == [[1, 0], [0, 1], [1, 1], [1, 0], [0, 1], [1, 0]]
    assert counts(parser) == {"samples": 6, "non_finite": 3, "out_of_range": 3}


def test_exponents_of_any_length_are_understood() -> None:
    """A power of ten that wraps around in 64 bits is not a small one."""
    powers = [2**64, 2**63, 2**32, 10**30]
    parser = Csv(1, whole_start=True)
    samples = parse(parser, [f"1e{power}\n1e-{power}\n0e{power}\n".encode() for power in powers])
    np.testing.assert_array_equal(samples[:, 0], [np.nan, 0.0, 0.0] * len(powers))
    assert counts(parser) == {"samples": 12, "out_of_range": 4}


@pytest.mark.parametrize("zeros", [0, 17, 400, 5000])
def test_numbers_of_many_digits_are_those_of_python(zeros: int) -> None:
    """Before the point, behind it, and with an exponent that takes them back."""
    digits = "9" * 19 + "8" * 19
    texts = [
        *(digits[:length] for length in (17, 18, 19, 20, 37)),
        *("1e38", "3e38", "0.003e41", "1e-38", "1e-45", "4e-320"),
        f"{'0' * zeros}1.5",
        f"0.{'0' * zeros}25e{zeros}",
        f"25{'0' * zeros}e-{zeros + 1}",
        f"{digits[:19]}{'0' * zeros}e-{zeros}",
    ]
    parser = Csv(1, whole_start=True)
    samples = parse(parser, ["\n".join([*texts, ""]).encode()])
    np.testing.assert_allclose(samples[:, 0], [float(text) for text in texts], rtol=1e-15)


def test_what_rounds_to_the_largest_float32_is_in_range() -> None:
    largest, beyond = "3.4028235677973361e38", "3.4028235677973372e38"  # a rounding step to both sides of the limit
    parser = Csv(1, whole_start=True)
    samples = parse(parser, [f"{largest}\n-{largest}\n{beyond}\n-{beyond}\n".encode()])
    np.testing.assert_allclose(samples[:, 0], [float(largest), -float(largest), np.nan, np.nan], rtol=1e-15)
    assert np.isfinite(np.float32(largest))
    with np.errstate(over="ignore"):
        assert np.isinf(np.float32(beyond))
    assert counts(parser) == {"samples": 4, "out_of_range": 2}


def test_the_first_line_of_a_port_is_dropped_because_its_beginning_may_be_missing() -> None:
    parser = Csv(2)
    assert parse(parser, [b"34,5\n6,7\n"]).tolist() == [[6, 7]]
    parser.resynchronise()
    assert parse(parser, [b"8,9\n10,11\n"]).tolist() == [[10, 11]]
    assert counts(parser) == {"samples": 2, "partial": 2}


def test_memory_is_bounded_on_a_line_without_end() -> None:
    parser = Csv(2, whole_start=True)
    for _ in range(50):
        assert len(parse(parser, [b"1," * SLICE_BYTES])) == 0
    assert parse(parser, [b"\n1,2\n"]).tolist() == [[1, 2]]
    assert counts(parser) == {"samples": 1, "too_long": 1}


def test_more_bytes_than_one_slice_at_once() -> None:
    numbers = np.arange(30_000).reshape(-1, 2)
    data = "".join(f"{a},{b}\n" for a, b in numbers).encode()
    np.testing.assert_array_equal(parse(Csv(2, whole_start=True), [data]), numbers)


@pytest.mark.parametrize("width", [0, 257])
def test_width_is_bounded(width: int) -> None:
    with pytest.raises(FormatError, match="from 1 to 256"):
        Csv(width)
