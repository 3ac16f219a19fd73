"""Program <-> ``.safetensors``: the weights as tensors, everything else as one JSON description in the header.

The file is an ordinary safetensors file (https://github.com/huggingface/safetensors): an unsigned 64-bit little-endian
header length, a JSON header, then the bytes of the tensors. The header's ``__metadata__`` holds one entry,
``edgernn.program``: the JSON text of ``{"format": 1, "program": ProgramDescription}``. No pickle, no code.

A file is not trusted. Its size, its header and its number of tensors are bounded before anything is parsed, and the
constructor of `Program` derives every shape, offset and count again.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import msgspec
from numpy.typing import NDArray

from edgernn.errors import ProgramFileError
from edgernn.program.description import ProgramDescription
from edgernn.program.encoding import decode, encode
from edgernn.program.program import Program
from edgernn.program.validation import MAX_OPERATIONS

FORMAT = 1
METADATA_KEY = "edgernn.program"  # the same in every version
MAX_FILE_BYTES = 1 << 30
MAX_HEADER_BYTES = 1 << 25
MAX_TENSORS = 4 * MAX_OPERATIONS
LENGTH_BYTES = 8  # the header's length, in front of the header

# number types of the tensors: the name in the file and NumPy's
NUMBER_TYPES = {"F32": "float32", "F64": "float64", "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64"}


class FileDescription(msgspec.Struct, forbid_unknown_fields=True):
    """What stands under `METADATA_KEY`. `program` is read only once the format is known to be one that we can read."""

    format: int
    program: msgspec.Raw


class TensorDescription(msgspec.Struct, forbid_unknown_fields=True):
    """A tensor's entry in the header; the safetensors package checks the offsets."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def save(program: Program, path: str | os.PathLike[str]) -> None:
    """Write a program, with its weights and metadata, to a ``.safetensors`` file.

    The file appears at `path` complete or not at all: it is written beside it and then renamed.

    Parameters
    ----------
    program : Program
    path : path-like
        Must end in ``.safetensors``; an existing file is replaced.

    Raises
    ------
    ProgramFileError
        The name has another ending, or the program is larger than the format's bounds.
    OSError
        The file cannot be written.

    Examples
    --------
    >>> import tempfile, numpy
    >>> from edgernn.program.operations import Dense
    >>> from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription
    >>> from edgernn.program.program import Program
    >>> dense = Dense(name="dense", inputs=("x",), outputs=("y",), W="W")
    >>> description = ProgramDescription(
    ...     inputs=(InputDescription("x", (2,)),), outputs=(OutputDescription("y", "y", True),), operations=(dense,)
    ... )
    >>> program = Program(description, {"W": numpy.ones((3, 2), numpy.float32)})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(program, f"{folder}/sum.safetensors")
    ...     load_program(f"{folder}/sum.safetensors").hash == program.hash
    True
    """
    from safetensors.numpy import save as to_bytes

    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {path.parent}")
    if path.suffix != ".safetensors":
        raise ProgramFileError(f"{path}: a program file must end in .safetensors")
    odd = [name for name, array in program.weights.items() if array.dtype.name not in NUMBER_TYPES.values()]
    if odd or "__metadata__" in program.weights:
        raise ProgramFileError(f"{path}: weight {(odd or ['__metadata__'])[0]} cannot be stored in this format")
    description = msgspec.Raw(encode(program.description))
    text = msgspec.json.encode(FileDescription(FORMAT, description)).decode()
    blob = to_bytes(dict(program.weights), metadata={METADATA_KEY: text})
    _check_sizes(path, len(blob), int.from_bytes(blob[:LENGTH_BYTES], "little"))
    _replace(path, blob)


def load_program(path: str | os.PathLike[str]) -> Program:
    """Read a program file that `save` wrote.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    Program
        With the same hash and metadata as the one that was saved.

    Raises
    ------
    ProgramFileError
        The file is damaged, is no program file, or was written in a newer format.
    MalformedModelError
        The file is whole, but the program in it contradicts itself.
    OSError
        The file cannot be read.
    """
    return parse_program(_read(Path(path)), Path(path))


def parse_program(blob: bytes, path: Path) -> Program:
    """The program in the bytes of a file. `path` names the file in errors, which are those of `load_program`."""
    header_size = int.from_bytes(blob[:LENGTH_BYTES], "little")
    _check_sizes(path, len(blob), header_size)
    header = blob[LENGTH_BYTES : LENGTH_BYTES + header_size]
    return Program(_parse_description(path, header), _parse_weights(path, blob))


def read_metadata(path: Path) -> dict[str, str]:
    """The free entries in the header of any ``.safetensors`` file, after checking the header.

    Raises
    ------
    ProgramFileError
        The file is damaged.
    OSError
        It cannot be read.
    """
    with path.open("rb") as file:
        header_size = int.from_bytes(file.read(LENGTH_BYTES), "little")
        _check_sizes(path, os.fstat(file.fileno()).st_size, header_size)
        return _parse_metadata(path, file.read(header_size))


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors in any ``.safetensors`` file whose header `read_metadata` accepts. The same errors."""
    read_metadata(path)
    return _parse_weights(path, _read(path))


def _replace(path: Path, blob: bytes) -> None:
    """Write `blob` so that `path` never holds half a file, not even after a power cut."""
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        start = file.read(LENGTH_BYTES)
        _check_sizes(path, os.fstat(file.fileno()).st_size, int.from_bytes(start, "little"))
        return start + file.read(MAX_FILE_BYTES)


def _check_sizes(path: Path, size: int, header_size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise ProgramFileError(f"{path} has {size} bytes, a program file has at most {MAX_FILE_BYTES}")
    if header_size > MAX_HEADER_BYTES or LENGTH_BYTES + header_size > size:
        raise ProgramFileError(
            f"{path} is damaged or no .safetensors file: it claims a header of {header_size} bytes "
            f"in a file of {size} bytes (at most {MAX_HEADER_BYTES} are read)"
        )


def _parse_metadata(path: Path, header: bytes) -> dict[str, str]:
    """The free entries of the header, after checking what each tensor claims to be."""
    try:
        entries = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
        metadata = msgspec.json.decode(entries.pop("__metadata__", b"{}"), type=dict[str, str])
        if len(entries) > MAX_TENSORS:
            raise ProgramFileError(f"{path} claims {len(entries)} tensors, the most is {MAX_TENSORS}")
        for name, entry in entries.items():
            tensor = msgspec.json.decode(entry, type=TensorDescription)
            if tensor.dtype not in NUMBER_TYPES:
                raise ProgramFileError(
                    f"{path}: tensor {name!r} holds {tensor.dtype!r} numbers, known are {', '.join(NUMBER_TYPES)}"
                )
        return metadata
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProgramFileError(f"{path} is damaged, its header cannot be read: {error}") from error


def _parse_description(path: Path, header: bytes) -> ProgramDescription:
    """The description in the header."""
    metadata = _parse_metadata(path, header)
    if METADATA_KEY not in metadata:
        raise ProgramFileError(
            f"{path} holds tensors but no edgernn program: its header has no entry {METADATA_KEY}. "
            "Write it with edgernn.save or `edgernn convert`"
        )
    try:
        outer = msgspec.json.decode(metadata[METADATA_KEY], type=FileDescription)
        if outer.format != FORMAT:
            raise ProgramFileError(
                f"{path} has program format {outer.format}, this version of edgernn reads format {FORMAT}: "
                "update edgernn or convert the model again"
            )
        return decode(outer.program)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProgramFileError(f"{path} is damaged, its header cannot be read: {error}") from error


def _parse_weights(path: Path, blob: bytes) -> dict[str, NDArray[Any]]:
    """The tensors by name, each as (shape as stored); the safetensors package checks that they fill the file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    try:
        weights: dict[str, NDArray[Any]] = from_bytes(blob)
    except SafetensorError as error:
        raise ProgramFileError(f"{path} is damaged, its tensors cannot be read: {error}") from error
    return weights
