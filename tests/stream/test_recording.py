"""Recordings of raw bytes: cut or damaged anywhere, they give what came before, or say what is wrong."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.errors import FormatError
from edgernn.stream.recording import (
    LabelMark,
    RecordedChunk,
    RecordingInfo,
    RecordingReader,
    encode_chunk,
    encode_heading,
    encode_mark,
    is_recording,
)

INFO = RecordingInfo(source="/dev/ttyACM0", format="csv", label="wave")
CHUNKS = [RecordedChunk(1_000 * place, 5_000 + place, f"{place},{place}\r\n".encode() * place) for place in range(6)]
BYTES = encode_heading(INFO) + b"".join(map(encode_chunk, CHUNKS))


def read(path: Path) -> tuple[RecordingInfo, list[RecordedChunk]]:
    reader = RecordingReader(path)
    try:
        return reader.info, list(reader)
    finally:
        reader.close()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.edgerec"
    path.write_bytes(BYTES)
    assert is_recording(path)
    assert read(path) == (INFO, CHUNKS)


def test_a_recording_cut_at_any_byte_gives_all_bytes_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "cut.edgerec"
    whole = b"".join(chunk.data for chunk in CHUNKS)
    start = len(encode_heading(INFO))
    for length in range(start, len(BYTES)):
        path.write_bytes(BYTES[:length])
        data = b"".join(chunk.data for chunk in read(path)[1])
        assert whole.startswith(data)
        complete = place = 0
        for chunk in CHUNKS:
            place += len(encode_chunk(chunk))
            complete += len(chunk.data) if start + place <= length else 0
        assert len(data) >= complete


def test_a_recording_cut_at_any_of_its_last_4096_bytes_gives_all_before(tmp_path: Path) -> None:
    chunks = [RecordedChunk(place, place, bytes([place]) * 37, place % 7 == 0) for place in range(70)]
    entries = [encode_chunk(chunk) for chunk in chunks]
    whole, path = encode_heading(INFO) + b"".join(entries), tmp_path / "long.edgerec"
    path.write_bytes(whole)
    for length in range(len(whole), len(whole) - 4097, -1):
        os.truncate(path, length)
        complete, rest = divmod(length - len(encode_heading(INFO)), len(entries[0]))
        found = read(path)[1]
        assert found[:complete] == chunks[:complete]
        assert len(found) == complete + (rest > 21)  # bytes of a chunk that is not whole are kept, without its check


@settings(max_examples=150)
@given(place=st.integers(0, len(BYTES) - 1), value=st.integers(0, 255))
def test_a_damaged_byte_is_noticed(tmp_path_factory: pytest.TempPathFactory, place: int, value: int) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.edgerec"
    damaged = bytearray(BYTES)
    damaged[place] = value
    path.write_bytes(damaged)
    try:
        info, chunks = read(path)
    except FormatError:
        return
    if info == INFO:  # the label may have changed to another valid one
        assert chunks == CHUNKS[: len(chunks)] or chunks[:-1] == CHUNKS[: len(chunks) - 1]


@settings(max_examples=300)
@given(whole=st.booleans(), rest=st.binary(max_size=300))
def test_any_bytes_are_a_recording_or_refused(
    tmp_path_factory: pytest.TempPathFactory, whole: bool, rest: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.edgerec"
    path.write_bytes((encode_heading(INFO) if whole else b"EDGERNNR") + rest)
    try:
        chunks = read(path)[1]
    except FormatError:
        return
    assert sum(len(chunk.data) for chunk in chunks) <= len(rest)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"1,2,3\n", "is not a recording"),
        (b"EDGERNNR\x02\x00\x00\x00\x00\x00", "has format 2"),
        (b"EDGERNNR\x01\x00\xff\xff\xff\xff", "claims 4294967295 bytes"),
        (b"EDGERNNR\x01\x00\x02\x00\x00\x00[]", "the description is wrong"),
        (encode_heading(INFO) + b"\xff" * 40, "an entry claims"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, data: bytes, complaint: str) -> None:
    path = tmp_path / "bad.edgerec"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=complaint):
        read(path)


def test_marks_stand_between_the_chunks_and_are_no_bytes(tmp_path: Path) -> None:
    path = tmp_path / "marked.edgerec"
    entries = [CHUNKS[1], LabelMark(1500, 5001, "wave"), CHUNKS[2], LabelMark(2500, 5002, None), CHUNKS[3]]
    encoded = [encode_mark(entry) if isinstance(entry, LabelMark) else encode_chunk(entry) for entry in entries]
    path.write_bytes(encode_heading(INFO) + b"".join(encoded))
    reader = RecordingReader(path)
    assert list(reader.entries()) == entries
    reader.close()
    assert read(path)[1] == CHUNKS[1:4]


def test_chunks_hold_at_most_a_mebibyte(tmp_path: Path) -> None:
    path, largest = tmp_path / "large.edgerec", RecordedChunk(0, 0, bytes(1 << 20))
    path.write_bytes(encode_heading(INFO) + encode_chunk(largest))
    assert read(path)[1] == [largest]
    with pytest.raises(FormatError, match="the most is 1048576"):
        encode_chunk(RecordedChunk(0, 0, bytes((1 << 20) + 1)))
    path.write_bytes(encode_heading(INFO) + b"\x00" + ((1 << 20) + 1).to_bytes(4, "little") + bytes(16))
    with pytest.raises(FormatError, match="an entry claims"):
        read(path)


def test_descriptions_are_read_up_to_64_kibibytes(tmp_path: Path) -> None:
    path = tmp_path / "described.edgerec"
    spaces = 65536 - len(b'{"source":""}')
    path.write_bytes(b"EDGERNNR\x01\x00" + (65536).to_bytes(4, "little") + b'{"source":"' + b"x" * spaces + b'"}')
    assert len(read(path)[0].source) == spaces
    path.write_bytes(b"EDGERNNR\x01\x00" + (65537).to_bytes(4, "little") + b" " * 65537)
    with pytest.raises(FormatError, match="claims 65537 bytes"):
        read(path)
