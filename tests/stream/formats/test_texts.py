"""Lines of text among samples: each is handed over with the sample that follows it, in any split of the bytes."""

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgernn.stream.formats import make_format
from edgernn.stream.formats.base import MAX_TEXTS

WIDTH = 2
TEXTS = (b"ets Jul 29 2019 12:21:46", b"x,y", b"# ready", b"--- 2 ---", b"rst:0x1 (POWERON),boot:0x13")


def line(name: str, number: int) -> bytes:
    if name == "csv":
        return f"{number},{-number}\r\n".encode()
    if name == "plotter":
        return f"x:{number} y:{-number}\r\n".encode()
    return json.dumps({"x": number, "y": -number}).encode() + b"\r\n"


@pytest.mark.parametrize("name", ["csv", "plotter", "jsonl"])
@given(st.lists(st.one_of(st.none(), st.sampled_from(TEXTS)), max_size=40), st.lists(st.integers(1, 60), max_size=20))
@example([TEXTS[0], TEXTS[1], None, None, TEXTS[2], None, TEXTS[3]], [])
@example([None, TEXTS[0], None], [5, 1, 1, 30])
def test_a_text_comes_with_the_sample_behind_it(name: str, sent: list[bytes | None], cuts: list[int]) -> None:
    data, expected, texts = b"", [], []
    for number, text in enumerate([*sent, None]):
        if text is not None:
            data += text + b"\r\n"
            texts.append(text)
        else:
            data += line(name, number)
            expected.append((number, tuple(texts)))
            texts = []
    parser = make_format(name, WIDTH, whole_start=True, channels=("x", "y"))
    found: list[tuple[int, tuple[bytes, ...]]] = []
    for size in [*cuts, len(data)]:
        part, data = data[:size], data[size:]
        for samples in parser.feed(part):
            numbers = samples.values[:, 0].astype(np.int64).tolist()
            found += [(number, samples.texts if place == 0 else ()) for place, number in enumerate(numbers)]
    assert found == expected


def test_of_endless_text_the_last_lines_are_kept() -> None:
    parser = make_format("csv", WIDTH, whole_start=True)
    for number in range(10 * MAX_TEXTS):
        assert list(parser.feed(f"line {number}\n".encode())) == []
    (samples,) = parser.feed(b"1,2\n")
    assert samples.texts == tuple(f"line {number}".encode() for number in range(9 * MAX_TEXTS, 10 * MAX_TEXTS))


def test_text_behind_the_rest_of_an_unseen_line_is_handed_over() -> None:
    parser = make_format("csv", WIDTH)
    found = list(parser.feed(b"5,6\nready\n1,2\n"))
    assert [(samples.values.tolist(), samples.texts) for samples in found] == [([[1.0, 2.0]], (b"ready",))]
