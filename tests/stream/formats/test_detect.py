"""Detection of format and width does not depend on how the bytes are split."""

import pytest
from byte_streams import cuts, pieces
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.stream.formats.cobs import encode_packet
from edgernn.stream.formats.detect import MAX_DETECT_BYTES, Detected, Detector

PACKET_WITH_NEWLINES = encode_packet(0x0D0A, 0x0A0D0A0D, [10, 13, 10], "int16")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"34,5\n1,2,3\n4,5,6\n", Detected("csv", 3)),
        (b"\n1 2 3\r\n\r\n4 5 6\r\n", Detected("csv", 3)),
        (b"boot\nax,ay\n1,2\n3,4,5\n6,7\n8,9\n", Detected("csv", 2, ("ax", "ay"), ("", ""))),
        (b"boot\nax [g]\tt (ms)\r\n\r\n1\t2\r\n3\t4\r\n", Detected("csv", 2, ("ax", "t"), ("g", "ms"))),
        (b"boot\nax,ay\nup, 2 g\n1,2\n3,4\n", Detected("csv", 2, ("ax", "ay"), ("", ""))),
        (b"boot\nax,ay\n1,2,3\n4,5,6\n", Detected("csv", 3)),
        (b"boot\nax,ax\nax ay\n1,2\n3,4\n", Detected("csv", 2)),
        (b"boot\nready\n" + 2 * PACKET_WITH_NEWLINES, Detected("cobs", 3)),
        (PACKET_WITH_NEWLINES, Detected("cobs", 3)),
        (b"\n1,2\n-,-,-\n3,4\n", Detected("csv", 2)),
        (b"\n1\n\xfe\x80\n3\n", None),
        (b"hello\nworld\n1,2\n", None),
    ],
)
@settings(max_examples=20)
@given(fractions=cuts)
def test_detection_in_any_split(data: bytes, expected: Detected | None, fractions: list[float]) -> None:
    detector = Detector()
    found = [result for part in pieces(data, fractions) if (result := detector.feed(part)) is not None]
    assert (found[0][:4] if found else None) == (expected and expected[:4])


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=3000), max_size=60))
def test_memory_is_bounded_on_noise(parts: list[bytes]) -> None:
    detector = Detector(only="cobs")
    for part in parts * 5:
        detector.feed(part)
        assert len(detector.seen) <= MAX_DETECT_BYTES + len(part)


@settings(max_examples=20)
@given(cuts)
def test_noise_is_forgotten(fractions: list[float]) -> None:
    detector = Detector()
    data = b"\xff" * 3 * MAX_DETECT_BYTES + b"\n1,2\n3,4\n"
    assert [detector.feed(part) for part in pieces(data, fractions)][-1][:2] == ("csv", 2)
    assert bytes(detector.seen).endswith(data[-1000:])


def test_a_file_may_hold_one_line_only() -> None:
    detector = Detector(whole_start=True)
    assert detector.feed(b"1,2\n") is None
    found = detector.finish()
    assert found is not None
    assert found[:2] == ("csv", 2)


def test_a_given_format_is_not_doubted() -> None:
    detector = Detector(only="cobs")
    assert detector.feed(b"\n1,2\n3,4\n" + b"\0" + encode_packet(0, 0, [1.0])) == Detected("cobs", 1)
