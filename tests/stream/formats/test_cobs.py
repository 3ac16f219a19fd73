"""The cobs format against the packages `cobs` and `binascii`; damage is never read as a sample."""

import binascii
import struct

import cobs.cobs
import numpy as np
import pytest
from byte_streams import cuts, parse, pieces
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.stream.formats.base import KINDS, MAX_FRAME_BYTES
from edgernn.stream.formats.cobs import Cobs, encode_packet, packet_width, stuff, unstuff

mostly_zeros = st.lists(st.sampled_from([0, 0, 1, 2, 255]) | st.integers(0, 255), max_size=700).map(bytes)
int16s = st.lists(st.integers(-32768, 32767), min_size=3, max_size=3)


def counts(parser: Cobs) -> dict[str, int]:
    return {kind: count for kind, count in zip(KINDS, parser.counts.tolist(), strict=True) if count}


@settings(max_examples=100)
@given(mostly_zeros)
def test_stuffing_is_that_of_the_cobs_package(data: bytes) -> None:
    assert cobs.cobs.decode(stuff(data)) == data
    assert unstuff(cobs.cobs.encode(data)) == data
    assert unstuff(stuff(data)) == data


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), int16s), max_size=8), cuts)
def test_packets_of_an_independent_sender(packets: list[tuple[int, int, list[int]]], fractions: list[float]) -> None:
    data = b"\0"
    for sequence, time_us, numbers in packets:
        body = b"\x01" + struct.pack("<HI3h", sequence, time_us, *numbers)
        data += cobs.cobs.encode(body + struct.pack("<H", binascii.crc_hqx(body, 0xFFFF))) + b"\0"
        assert data.endswith(encode_packet(sequence, time_us, numbers, "int16"))
    parser = Cobs(3)
    received = []
    for part in pieces(data, fractions):
        for samples in parser.feed(part):
            assert samples.sequence is not None
            assert samples.device_time_us is not None
            columns = (samples.sequence.tolist(), samples.device_time_us.tolist(), samples.values.tolist())
            received += list(zip(*columns, strict=True))
    assert received == packets


@settings(max_examples=40)
@given(st.lists(st.floats(width=32), min_size=1, max_size=40))
def test_float32_values_come_through(numbers: list[float]) -> None:
    parser = Cobs(len(numbers))
    samples = parse(parser, [encode_packet(1, 2, numbers)])
    np.testing.assert_array_equal(samples[0], np.where(np.isfinite(numbers), numbers, np.nan))
    assert parser.count("non_finite") == (not np.isfinite(numbers).all())


def test_every_single_flipped_bit_costs_at_most_its_own_and_the_next_packet() -> None:
    good = [encode_packet(number, 0, [number, 2.5], "float32") for number in range(4)]
    for place in range(len(good[1])):
        for bit in range(8):
            bad = bytearray(good[1])
            bad[place] ^= 1 << bit
            values = parse(Cobs(2), [good[0], bytes(bad), good[2], good[3]])[:, 0].tolist()
            # without its zero byte the packet runs into the next one
            assert values == ([0, 3] if place == len(good[1]) - 1 else [0, 2, 3])


@settings(max_examples=150)
@given(st.binary(max_size=120), cuts)
def test_noise_is_never_a_sample_and_is_forgotten_at_a_zero_byte(noise: bytes, fractions: list[float]) -> None:
    parser = Cobs(2, whole_start=True)
    samples = parse(parser, pieces(noise + b"\0" + encode_packet(5, 6, [7, 8]), fractions))
    assert samples.tolist() == [[7, 8]]
    frames = [frame for frame in noise.split(b"\0") if frame]
    assert parser.count("malformed") == len(frames)


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (encode_packet(1, 2, [3.0]), "wrong_width"),
        (b"\xff" * MAX_FRAME_BYTES + b"\xff\0", "too_long"),
        (b"\xff" * 3 * MAX_FRAME_BYTES + b"\0", "too_long"),
        (encode_packet(1, 2, [3.0, 4.0])[1:], "malformed"),
        (b"\x01\0", "malformed"),
    ],
)
def test_what_is_no_sample_is_counted(frame: bytes, kind: str) -> None:
    parser = Cobs(2, whole_start=True)
    good = encode_packet(1, 2, [3.0, 4.0])
    assert parse(parser, [good, frame, good]).tolist() == [[3, 4], [3, 4]]
    assert counts(parser) == {"samples": 2, kind: 1}


def test_bytes_before_the_first_zero_are_partial_unless_they_are_a_whole_packet() -> None:
    good = encode_packet(1, 2, [3.0, 4.0])
    cut, whole = Cobs(2), Cobs(2)
    assert len(parse(cut, [good[4:], good])) == 1
    assert len(parse(whole, [good, good])) == 2
    assert (counts(cut), counts(whole)) == ({"samples": 1, "partial": 1}, {"samples": 2})


def test_width_of_a_packet() -> None:
    assert packet_width(encode_packet(1, 2, [1] * 9, "int16")[:-1]) == 9
    assert packet_width(b"12,34") is None
