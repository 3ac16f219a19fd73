"""Numbers, names and texts of a model as C."""

from __future__ import annotations

import re
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.errors import ExportError
from firmware_export import names
from firmware_export.literals import float_literal, integer_literal, table
from firmware_export.memory import Lifetime, place
from firmware_export.packing import panels, scale_words


@given(st.integers(0, 2**32 - 1))
def test_a_float_literal_is_read_back_exactly(bits: int) -> None:
    (value,) = struct.unpack("f", struct.pack("I", bits))
    if not np.isfinite(value):
        with pytest.raises(ExportError, match="not a finite float32"):
            float_literal(value)
        return
    text = float_literal(value)
    assert text.endswith("f")
    assert re.search(r"[.e]", text), "C reads digits alone as an integer"
    assert np.float32(text[:-1]).tobytes() == np.float32(value).tobytes()


def test_integer_literals() -> None:
    assert integer_literal(-(2**31)) == "(-2147483647 - 1)"
    with pytest.raises(ExportError, match="not an int32"):
        integer_literal(2**31)


def test_a_table_holds_its_elements_in_order() -> None:
    text = table("t", np.arange(100, dtype=np.int16).reshape(10, 10), "numbers")
    assert text.startswith("/* numbers */\nstatic const int16_t t[100] EDGERNN_TABLE = {")
    assert [int(word) for word in re.findall(r"\d+", text.partition("= {")[2])] == list(range(100))
    assert max(map(len, text.splitlines())) <= 120


@given(st.text(max_size=80))
def test_an_identifier_is_one(text: str) -> None:
    name = names.identifier(text)
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name)
    assert name not in names.C_WORDS
    assert len(name) < 64


@pytest.mark.parametrize(
    "word", ["int", "class", "template", "_Bool", "and", "std", "linux", "INPUT", "3d", "", "é", "min"]
)
def test_reserved_words_are_avoided(word: str) -> None:
    assert names.identifier(word).startswith("model")


@given(st.lists(st.text(max_size=10), max_size=12))
def test_names_are_unique(texts: list[str]) -> None:
    scope = names.CNames(["state"])
    chosen = [scope.add(text).lower() for text in texts]
    assert len(set(chosen)) == len(chosen)
    assert "state" not in chosen


@given(st.text(alphabet="*/\\?\n\r\t\u2028 aé\"'", max_size=40))
def test_a_comment_stays_one(text: str) -> None:
    safe = names.comment(text)
    assert safe.isascii()
    assert not re.search(r"\*/|/\*|[\n\r\\]|\?\?", safe)


@given(st.text(max_size=40))
def test_a_string_has_the_bytes_of_the_text(text: str) -> None:
    literal = names.string(text)
    assert literal.isascii()
    assert re.fullmatch(r'"(?:[^"\\?]|\\["\\?]|\\[0-7]{3})*"', literal)
    unescaped = re.sub(
        r'\\([0-7]{3}|["\\?])', lambda match: chr(int(match[1], 8)) if len(match[1]) == 3 else match[1], literal[1:-1]
    )
    assert unescaped.encode("latin-1") == text.encode("utf-8", errors="replace")


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=10))
def test_arrays_in_use_together_do_not_overlap(arrays: list[tuple[int, int, int]]) -> None:
    intervals = {str(k): Lifetime(size, min(a, b), max(a, b)) for k, (size, a, b) in enumerate(arrays)}
    offsets, total = place(intervals)
    for name, own in intervals.items():
        assert 0 <= offsets[name] <= total - own.size
        for other_name, other in intervals.items():
            together = own.first <= other.last and other.first <= own.last
            if name < other_name and together:
                apart = offsets[name] + own.size <= offsets[other_name]
                assert apart or offsets[other_name] + other.size <= offsets[name]


@given(st.integers(1, 9), st.integers(1, 11), st.integers(0, 1000))
def test_panels_hold_every_weight_once(rows: int, columns: int, seed: int) -> None:
    W = np.random.default_rng(seed).integers(-128, 128, (rows, columns)).astype(np.int8)
    packed = panels(W, [rows])  # one panel: for each four columns, four bytes of every row
    blocks = packed.reshape(-1, rows, 4)
    for row in range(rows):
        for column in range(columns):
            assert blocks[column // 4, row, (0, 2, 1, 3).index(column % 4)] == W[row, column]
    assert np.abs(packed.astype(int)).sum() == np.abs(W.astype(int)).sum()


def test_scale_words_hold_multiplier_and_shift() -> None:
    words = scale_words(np.array([16384, -32767, 0]), np.array([2, 46, 17])).astype(np.int64)
    assert (words >> 16).tolist() == [16384, -32767, 0]
    assert (words & 0xFF).astype(np.uint8).view(np.int8).tolist() == [2 - 17, 46 - 17, 0]
