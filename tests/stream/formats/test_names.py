"""Names: headings are read as they are written, anything else is none; clocks and sequences are known by name."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.stream.config import StreamSettings
from edgernn.stream.formats.headings import read_heading, write_heading
from edgernn.stream.formats.names import MAX_NAME_BYTES, clock_columns
from edgernn.stream.pipeline import Pipeline
from edgernn.stream.sources.base import Chunk

names = st.from_regex(re.compile(r"[A-Za-z_][A-Za-z0-9_./-]{0,20}", re.ASCII), fullmatch=True)
clocks = st.sampled_from(["t_s", "t_us"])
units = st.sampled_from(["", "g", "m/s^2", "°C", "rad/s"])


@given(st.dictionaries(names, units, min_size=1, max_size=20))
def test_a_written_heading_is_read(fields: dict[str, str]) -> None:
    line = write_heading(list(fields), list(fields.values()))
    heading = read_heading(line.rstrip(b"\n"))
    assert heading is not None
    assert (heading.channels, heading.units) == (tuple(fields), tuple(fields.values()))


@settings(max_examples=300)
@given(st.one_of(st.binary(max_size=200), st.text(alphabet='ab1 ,;\t[]()"g-', max_size=60).map(str.encode)))
def test_any_line_is_a_heading_or_none(line: bytes) -> None:
    heading = read_heading(line)
    if heading is not None:
        assert len(heading.channels) == len(heading.units) == len(set(heading.channels)) > 0
        assert all(0 < len(name.encode()) <= MAX_NAME_BYTES for name in heading.channels)


@pytest.mark.parametrize(
    "line",
    [
        b"ready",
        b"ax ay az",
        b"-,-,-",
        b"1,2,x",
        b"a,a",
        b"MPU6050 ready, 2 g",
        b"[g],[g]",
        b"a,,b",
        b"a" * 65 + b",b",
        b"a [g,b",
    ],
)
def test_messages_and_separators_are_no_headings(line: bytes) -> None:
    assert read_heading(line) is None


def test_times_and_sequences_are_given_as_they_are_sent() -> None:
    found = clock_columns(("seq", "t_ms"))
    assert found is not None
    values = np.array([[65535, 4294967.295], [65536, 4294967.296], [65537, 4294967.297]])
    sequence, time_us = found.sequence_of(values), found.time_us_of(values)
    assert sequence is not None
    assert time_us is not None
    assert sequence.tolist() == [65535, 65536, 65537]
    assert time_us.tolist() == [4294967295, 4294967296, 4294967297]


def test_clocks_and_sequences_by_name() -> None:
    found = clock_columns(("x", "SEQ", "Time_S", "t"))
    assert found is not None
    assert (found.sequence, found.time, found.unit_us) == (1, 2, 1e6)
    assert clock_columns(("x", "SEQ", "Time_S", "t"), taken=(1, 2)) == clock_columns(("t",))._replace(time=3)  # type: ignore[union-attr]
    assert clock_columns(("x", "temp", "sequences", "times", "t_min")) is None


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.floats(), st.floats(), st.floats(-1, 1)), min_size=2, max_size=30),
    st.sampled_from(["t_s", "t_us"]),
)
def test_any_numbers_as_clock_and_sequence_are_used_or_malformed(
    rows: list[tuple[float, float, float]], clock: str
) -> None:
    from stream_models import larger_channel

    pipeline = Pipeline(larger_channel(), StreamSettings(), whole_start=True)
    heading = f"seq,{clock},x,y,z\n"
    for row, (number, time, x) in enumerate(rows):
        line = f"{heading * (row == 0)}{number!r},{time!r},{x},0,0\n"
        pipeline.feed(Chunk(line.encode(), row * 10**7, 0, 0))
    pipeline.finish(Chunk(b"", 0, 0, 0))
    counts = pipeline.counts()
    assert counts["samples"] + counts["malformed"] == len(rows)
    sound = sum(0 <= number < 2**53 and number == np.floor(number) for number, _, _ in rows)
    assert counts["samples"] <= sound
