"""Int8 weights that were made elsewhere, with a JSON description, become an int8 program: `edgernn docs weight-tables`.

A table is a ``.safetensors`` file whose metadata has the entry ``edgernn.weights``, or an ``.npz`` archive with an
array ``description``; either holds the JSON text. Nothing is guessed: scales, ranges and gate orders are stated.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any, Literal, TypeAlias
from zipfile import BadZipFile, ZipFile

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.errors import MalformedModelError, ProgramFileError
from edgernn.importers.weight_layers import DenseLayer, GruLayer, LayerReader, LstmLayer, RnnLayer
from edgernn.program.file import read_metadata, read_tensors
from edgernn.program.metadata import Metadata
from edgernn.program.program import Program

FORMAT = 1
METADATA_KEY = "edgernn.weights"
DESCRIPTION_ARRAY = "description"
MAX_BYTES = 1 << 30
MAX_DESCRIPTION = 1 << 20
MAX_LAYERS = 1000

# what reading a damaged or hostile archive raises; RuntimeError: encrypted or compressed in a way that is not known
DAMAGE = (ValueError, KeyError, EOFError, OSError, RuntimeError, MemoryError, BadZipFile, zlib.error, struct.error)

Array: TypeAlias = NDArray[Any]
Layer: TypeAlias = RnnLayer | GruLayer | LstmLayer | DenseLayer


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The input: its largest magnitude behind the normalisation, and what one count of the sensor is in raw units."""

    range: float
    name: str = "x"
    count_size: float | None = None


class TableDescription(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON of a table."""

    format: Literal[1]
    input: Input
    layers: tuple[Layer, ...]
    output: str = "scores"
    metadata: Metadata = Metadata()


def is_weight_table(path: Path) -> bool:
    """Whether a file is a weight table: an ``.npz`` archive, or ``.safetensors`` with the entry for it."""
    if path.suffix == ".npz":
        return True
    return path.suffix == ".safetensors" and METADATA_KEY in read_metadata(path)


def load_weight_table(path: Path) -> Program:
    """The int8 program of a weight table.

    Raises
    ------
    ProgramFileError
        The file is damaged, or a field of the description is wrong; the message names the field.
    """
    text, arrays = _read_archive(path) if path.suffix == ".npz" else _read_safetensors(path)
    try:
        description = msgspec.json.decode(text, type=TableDescription)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ProgramFileError(f"{path}: the description cannot be read: {error}") from error
    if not 1 <= len(description.layers) <= MAX_LAYERS:
        raise ProgramFileError(f"{path}: layers has {len(description.layers)} entries, it must have 1 to {MAX_LAYERS}")
    builder = LayerReader(str(path), arrays)
    given = description.input
    builder.add_input(given.name, given.range, given.count_size, description.layers[0], description.metadata)
    for place, layer in enumerate(description.layers):
        builder.add_layer(f"layers[{place}]", layer)
    try:
        return builder.program(description.output, description.metadata)
    except MalformedModelError as error:
        raise ProgramFileError(f"{path}: {error}") from error


def _read_safetensors(path: Path) -> tuple[str, dict[str, Array]]:
    return read_metadata(path)[METADATA_KEY], read_tensors(path)


def _read_archive(path: Path) -> tuple[str, dict[str, Array]]:
    try:
        with ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_BYTES:
            raise ProgramFileError(f"{path} holds {size} bytes, a weight table has at most {MAX_BYTES}")
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except ProgramFileError:
        raise
    except DAMAGE as error:
        raise ProgramFileError(f"{path} cannot be read as an archive of arrays: {error}") from error
    text = arrays.pop(DESCRIPTION_ARRAY, None)
    if text is None or text.ndim != 0 or text.dtype.kind != "U" or text.nbytes > MAX_DESCRIPTION * 4:
        raise ProgramFileError(
            f"{path}: there is no array {DESCRIPTION_ARRAY!r} with the JSON text: numpy.savez(..., description=text)"
        )
    return str(text), arrays
