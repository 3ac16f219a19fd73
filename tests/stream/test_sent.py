"""Bytes as boards send them: read right, or refused by name. `sent/README.md` says where they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stream_models import larger_channel

from edgernn.errors import FormatError
from edgernn.program.metadata import Metadata
from edgernn.stream.channels import ChannelChoice
from edgernn.stream.config import StreamSettings
from edgernn.stream.formats import make_format
from edgernn.stream.formats.base import Format
from edgernn.stream.formats.detect import Detector
from edgernn.stream.formats.needs import Needs
from edgernn.stream.frame_decoder import FrameDecoder
from edgernn.stream.input_mapping import InputMapping, map_inputs

SENT = Path(__file__).parent / "sent"
XYZ = Metadata(labels=("first", "second"), channels=("x", "y", "z"), units=("m/s^2",) * 3)


def mapping(metadata: Metadata = XYZ) -> InputMapping:
    program = larger_channel().with_metadata(metadata)
    return map_inputs(program, metadata, StreamSettings())[0]


def read(data: bytes, *, whole_start: bool = True, metadata: Metadata = XYZ) -> tuple[np.ndarray, FrameDecoder]:
    decoder = FrameDecoder(mapping(metadata), whole_start=whole_start)
    blocks = [decoded.X.copy() for decoded in decoder.feed(data)]
    blocks += [decoded.X.copy() for decoded in decoder.finish()]
    return np.concatenate([np.zeros((0, 3)), *blocks]), decoder


@pytest.mark.parametrize("path", sorted(SENT.glob("[!s]*.bin")), ids=lambda path: path.stem)
def test_every_sample_has_the_models_channels(path: Path) -> None:
    samples, _ = read(path.read_bytes())
    assert samples.tolist() == [[0, 9, 0]] * (300 if path.stem == "jsonl_extra_first" else 30)


def test_decimal_commas_that_may_be_separators_are_refused_with_both_readings() -> None:
    data = (SENT / "six_deccomma.bin").read_bytes()
    detector = Detector(whole_start=True, needs=Needs(6))
    with pytest.raises(FormatError, match=r"3 numbers with decimal commas \(0.12 9.81 0.34\), or as 6 with commas"):
        detector.feed(data)
    samples, _ = read(data)
    assert samples[0].tolist() == np.float32([0.12, 9.81, 0.34]).tolist()
    for name, expected in (("csv-comma", [0.12, 9.81, 0.34]), ("csv", [0, 12, 9, 81, 0, 34])):
        detector = Detector(name, whole_start=True)
        found = detector.feed(data)
        assert found is not None
        parser = make_format(found.format, found.width, form=found.form, whole_start=True)
        assert next(parser.feed(bytes(detector.seen))).values[0].tolist() == expected


@pytest.mark.parametrize(
    "heading",
    [
        b"\xef\xbb\xbfz,x,y",
        b"# z,x,y",
        b"#z x y",
        b"// z\tx\ty",
        b"Data: z,x,y",
        b"columns: z | x | y",
        b'"z";"x";"y"',
        b"\x1b[1mz,x,y\x1b[0m",
        "z [m/s²],x [m/s²],y [m/s²]".encode("latin-1"),
        "z [m/s²], x [ms-2], y (m/s^2)".encode(),
        b"Z (m/s/s) X (m/s/s) Y (m/s/s)",
        b"acc z,acc x,acc y",
        b"accel.z accel.x accel.y",
        b"z,x,y\r\nInit,ok,done",
        b"z,x,y\r\nMPU6050 ready",
    ],
)
@pytest.mark.parametrize("whole_start", [True, False])
def test_a_heading_in_any_clothes_is_the_first_line_after_opening(heading: bytes, whole_start: bool) -> None:
    samples, decoder = read(heading + b"\r\n" + b"0,0,9\r\n" * 4, whole_start=whole_start)
    assert samples.tolist() == [[0, 9, 0]] * 4
    told = [notice for notice in decoder.channels.notices if "not understood" in notice]
    assert len(told) == (b"Init" in heading or b"ready" in heading)


def test_units_are_compared_by_their_meaning() -> None:
    for unit in ("m/s/s", "m/s²", "ms^-2", "m s-2", "M/S**2"):
        read(f"x [{unit}],y,z\n1,2,3\n1,2,3\n".encode())
    for unit in ("g", "mg", "cm/s2", "dps"):
        with pytest.raises(FormatError, match=f"channel x comes in {unit}"):
            read(f"x [{unit}],y,z\n1,2,3\n1,2,3\n".encode())


def test_a_heading_with_another_count_than_the_samples_is_refused() -> None:
    with pytest.raises(FormatError, match=r"names 4 numbers \(t, x, y, z\), the samples after it have 3"):
        read(b"t,x,y,z\n1,2,3\n4,5,6\n")


class Changed:
    """What becomes of a stream whose heading comes again in the middle."""

    def __init__(self, again: bytes, first: bytes = b"x,y,z") -> None:
        self.samples, self.decoder = read(first + b"\n1,2,3\n1,2,3\n" + again + b"\n3,1,2\n3,1,2\n")


def test_a_changed_order_is_followed_and_told() -> None:
    changed = Changed(b"z,x,y")
    assert changed.samples.tolist() == [[1, 2, 3]] * 4
    assert "from x, y, z to z, x, y" in changed.decoder.channels.notices[0]


def test_the_clock_follows_its_column() -> None:
    decoder = FrameDecoder(mapping(), whole_start=True)
    data = b"x,y,z,t_ms\n1,2,3,10\n1,2,3,20\nt_ms,x,y,z\n30,1,2,3\n40,1,2,3\n"
    blocks = [(decoded.X.tolist(), decoded.device_time_us.tolist()) for decoded in decoder.feed(data)]  # type: ignore[union-attr]
    assert blocks == [([[1, 2, 3]] * 2, [10_000, 20_000]), ([[1, 2, 3]] * 2, [30_000, 40_000])]


@pytest.mark.parametrize(
    ("again", "complaint"),
    [
        (b"x [g],y [g],z [g]", "came in m/s2, now it comes in g|comes in g"),
        (b"x,y,w", "z is missing"),
        (b"x,y,z,t_ms", "names 4 numbers"),
    ],
)
def test_a_heading_that_fits_no_longer_ends_the_stream(again: bytes, complaint: str) -> None:
    with pytest.raises(FormatError, match=complaint):
        Changed(again, b"x [m/s2],y [m/s2],z [m/s2]")


def test_a_repeated_heading_is_no_change_and_other_text_is_told_once() -> None:
    changed = Changed(b"x,y,z\ntemperature 21\nheap 100")
    assert changed.samples.tolist() == [[1, 2, 3]] * 2 + [[3, 1, 2]] * 2
    assert changed.decoder.channels.later_headings == 1
    assert [notice.split(": ")[1] for notice in changed.decoder.channels.notices] == ["'heap 100'"]


def test_a_changed_heading_is_also_followed_where_the_model_names_no_channels() -> None:
    samples, _ = read(b"x,y,z\n1,2,3\n1,2,3\nz,x,y\n3,1,2\n", metadata=Metadata(labels=("first", "second")))
    assert samples.tolist() == [[1, 2, 3]] * 3


def test_a_heading_right_after_a_reconnect_counts() -> None:
    decoder = FrameDecoder(mapping(), whole_start=True)
    list(decoder.feed(b"x,y,z\n1,2,3\n1,2,3\n1,2"))
    decoder.resynchronise()
    parts = (b"z,x", b",y\n3,1,2\n")
    assert [decoded.X.tolist() for part in parts for decoded in decoder.feed(part)] == [[[1, 2, 3]]]


def test_lines_that_hold_the_models_numbers_win_whatever_came_first() -> None:
    samples, _ = read(b"1,2\n3,4\n5,6\n7,8\n0,9,0\n0,9,0\n", metadata=Metadata(labels=("first", "second")))
    assert samples.tolist() == [[0, 9, 0]] * 2
    samples, _ = read(b'{"boot":1}\n{"boot":2}\n{"a":1,"x":0,"y":9,"z":0}\n{"z":0,"x":0,"y":9,"b":2}\n')
    assert samples.tolist() == [[0, 9, 0]] * 2


@pytest.mark.parametrize(
    ("lines", "form"),
    [
        (b"0x1F,0x20,0x21\n", "hexadecimal numbers, as in '0x1F'"),
        (b"x:0x1F y:0x20 z:1\n", "hexadecimal numbers"),
        (b"1_000 2_000 3\n", "underscores in numbers"),
        (b"9.81g,0g,0g\n", "units after numbers, as in '9.81g'"),
        (b"9.81 m/s2, 0 m/s2, 0 m/s2\n", "units after numbers"),
        (b"x: 9.8 g y: 0 g z: 0 g\n", "units after numbers"),
        (b"25.5 C\n", "units after numbers"),
        (b"0 9 0 g\n", "units after numbers"),
        (b"0b101,1,2\n", "binary numbers"),
        (b"1'000,2,3\n", "apostrophes in numbers"),
        (b"(0, 9, 0) (1, 1, 1)\n", "several tuples in a line"),
    ],
)
def test_numbers_in_a_form_that_is_not_read_are_refused_by_name(lines: bytes, form: str) -> None:
    with pytest.raises(FormatError, match=f"the source sends {form}"):
        read(lines * 4)
    with pytest.raises(FormatError, match=f"the source sends {form}"):
        read(lines)


def test_missing_values_are_counted_by_the_word_that_stood_for_them() -> None:
    data = b"1,2,3\n1,2,3\nnan,2,NA\n1,--,null\ninf,-inf,3\novf,n/a,None\n"
    samples, decoder = read(data, metadata=Metadata(labels=("first", "second")))
    expected = [[0, 0, 0]] * 2 + [[1, 0, 1], [0, 1, 1], [1, 1, 0], [1, 1, 1]]
    assert np.isnan(samples).astype(int).tolist() == expected
    counts = {kind: count for kind, count in decoder.counts().items() if kind.startswith("missing_")}
    assert counts == {
        **{"missing_nan": 1, "missing_na": 2, "missing_dashes": 1, "missing_null": 2},
        **{"missing_inf": 2, "missing_ovf": 1},
    }


@pytest.mark.parametrize(
    ("heading", "line"),
    [
        (b"time,z,x,y", b"2024-05-01T12:00:00.123,0,0,9"),
        (b"id;z;x;y", b"dev01;0;0;9"),
        (b"z,x,y,id", b"0,0,9,dev01"),
        (b"time,id,z,x,y", b"12:00:01,dev01,0,0,9"),
    ],
)
def test_a_heading_also_names_what_is_around_the_numbers(heading: bytes, line: bytes) -> None:
    assert read(heading + b"\n" + (line + b"\n") * 3)[0].tolist() == [[0, 9, 0]] * 3


def test_twice_as_many_whole_numbers_are_refused_with_both_readings() -> None:
    with pytest.raises(FormatError, match=r"as 6 numbers, or as 3 with decimal commas \(0.12 9.81 0.34\)"):
        read(b"0,12,9,81,0,34\n" * 9)


def test_a_named_tuple_is_read() -> None:
    assert read(b"Acc(x=0, y=9, z=0)\n" * 3)[0].tolist() == [[0, 9, 0]] * 3


def test_a_wrong_checksum_is_damage_and_another_sender_is_text() -> None:
    good = b"$IMU,0,9,0*44\r\n"
    samples, decoder = read(good * 3 + b"$IMU,0,8,0*44\r\n" + b"$GPS,0,9,0*51\r\n" + good)
    assert samples.tolist() == [[0, 9, 0]] * 4
    counts = decoder.counts()
    assert (counts["malformed"], counts["text"]) == (1, 1)


def test_a_sample_of_several_lines_loses_only_what_was_lost() -> None:
    lines = b"x:0\ny:9\nz:0\n"
    samples, decoder = read(lines * 3 + b"x:0\nz:0\n" + b"y:9\nz:0\n" + lines + b"heap:7\n" + lines)
    assert samples.tolist() == [[0, 9, 0]] * 5
    assert decoder.counts()["wrong_width"] == 2


def test_channel_choice_tells_what_came() -> None:
    choice = ChannelChoice(mapping())
    detector = Detector(whole_start=True, needs=mapping().needs)
    found = detector.feed(b"I (12) imu: (0, 9, 0)\n" * 3)
    assert found is not None
    choice.connect(found)
    expected = "csv: 3 numbers in each sample, numbers in an order, ESP-IDF log prefix imu, parentheses"
    assert choice.notices == [f"samples come as {expected}"]
    parser: Format = make_format(found.format, found.width, form=found.form, whole_start=True)
    (samples,) = parser.feed(b"I (12) imu: (0, 9, 0)\nI (13) wifi: (1, 2, 3)\n")
    assert samples.values.tolist() == [[0, 9, 0]]
    assert parser.count("text") == 1
