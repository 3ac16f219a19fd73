"""Files of samples are read whatever made them, and refused with a reason."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgernn.errors import InputError
from edgernn.recordings.sample_file import read_samples
from edgernn.stream.formats.cobs import encode_packet
from edgernn.stream.recording import RecordedChunk, RecordingInfo, encode_chunk, encode_heading

SAMPLES = np.random.default_rng(0).uniform(-20, 20, (5000, 3)).astype(np.float32)  # (T, channels)


def as_lines(samples: np.ndarray, end: str = "\n") -> str:
    return end.join(",".join(f"{value:.9g}" for value in sample) for sample in samples)


def write(path: Path, kind: str) -> None:
    """The same samples, in a file of this kind."""
    if kind == "npy":
        np.save(path, SAMPLES)
    elif kind == "npz":
        np.savez_compressed(path, samples=SAMPLES, rate_hz=50)
    elif kind == "csv":
        path.write_text("time in the sun\nx,y,z\n" + as_lines(SAMPLES))
    elif kind == "tsv":
        path.write_text(as_lines(SAMPLES, "\r\n").replace(",", "\t"))
    elif kind == "cobs":
        packets = (encode_packet(i % 65536, i, sample.tolist()) for i, sample in enumerate(SAMPLES))
        path.write_bytes(b"".join(packets))
    else:
        data = as_lines(SAMPLES).encode() + b"\n"
        pieces = [data[start : start + 1000] for start in range(0, len(data), 1000)]
        chunks = (encode_chunk(RecordedChunk(i, i, piece)) for i, piece in enumerate(pieces))
        path.write_bytes(encode_heading(RecordingInfo(source="test")) + b"".join(chunks))


@pytest.mark.parametrize("kind", ["npy", "npz", "csv", "tsv", "cobs", "recording"])
def test_every_kind_of_file_gives_the_same_samples(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"samples.{kind}"
    write(path, kind)
    np.testing.assert_array_equal(read_samples(path), SAMPLES)


def test_whole_numbers_are_samples(tmp_path: Path) -> None:
    np.save(tmp_path / "counts.npy", np.array([[1, -2], [3, 4]], np.int16))
    np.testing.assert_array_equal(read_samples(tmp_path / "counts.npy"), [[1, -2], [3, 4]])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "no samples"),
        ("words.csv", b"nothing\nto see\n", "no samples"),
        ("nan.csv", b"nan,2\n3,nan\nnan,5\n", "each of the samples has a number that is not finite"),
        ("hex.csv", b"0x1,0x2\n" * 3, "hexadecimal numbers"),
        ("noise.npy", b"\x93NUMPY\x01\x00\xff\xff{", "cannot be read"),
        ("noise.npz", b"PK\x03\x04 and no more", "cannot be read"),
    ],
)
def test_what_holds_no_samples_is_refused(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_samples(tmp_path / name)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([["x", object]], object), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be read"):
        read_samples(tmp_path / "objects.npy")


def test_an_array_that_claims_more_than_its_file_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "claim.npy", np.zeros((400, 4), np.float32))
    whole = (tmp_path / "claim.npy").read_bytes()
    (tmp_path / "claim.npy").write_bytes(whole.replace(b"(400, 4)", b"(999, 9)"))
    with pytest.raises(InputError, match="cannot be read"):
        read_samples(tmp_path / "claim.npy")


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgernn.recordings.sample_file.MAX_BYTES", 10_000)
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("samples.npy", bytes(1_000_000))
    with pytest.raises(InputError, match="1000000 bytes"):
        read_samples(tmp_path / "bomb.npz")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "npz"])
def test_named_numbers_are_the_channels_wanted_or_all_but_the_clock(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"samples.{kind}"
    rows = [[20 * k, *sample.tolist(), k] for k, sample in enumerate(SAMPLES[:50])]
    names = ["t_ms", "x", "y", "z", "seq"]
    if kind == "csv":
        path.write_text("\n".join([",".join(names), *(",".join(map(repr, row)) for row in rows)]))
    elif kind == "jsonl":
        path.write_text("\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in rows))
    else:
        np.savez(path, samples=np.array(rows), channel_names=np.array(names))
    np.testing.assert_array_equal(read_samples(path), SAMPLES[:50])
    np.testing.assert_array_equal(read_samples(path, ("Z", "x")), SAMPLES[:50, [2, 0]])
    with pytest.raises(InputError, match=r"names its numbers t_ms, x, y, z, seq, .* x, w: w is missing"):
        read_samples(path, ("x", "w"))
