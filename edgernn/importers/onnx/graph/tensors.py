"""TensorProto to NumPy, without trusting it: sizes are bounded, external data stays in the model's folder."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from edgernn.errors import MalformedModelError, UnsupportedModelError
from edgernn.program.operations import MAX_ELEMENTS

# number types that weights and constants may have
NUMBER_TYPES: dict[int, str] = {
    TensorProto.FLOAT: "float32",
    TensorProto.DOUBLE: "float64",
    TensorProto.FLOAT16: "float16",
    TensorProto.INT8: "int8",
    TensorProto.INT16: "int16",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
    TensorProto.UINT8: "uint8",
    TensorProto.UINT16: "uint16",
    TensorProto.UINT32: "uint32",
    TensorProto.UINT64: "uint64",
    TensorProto.BOOL: "bool",
}


def text(value: str | bytes) -> str:
    """A text of the file; protobuf gives bytes where a file holds something else.

    Raises
    ------
    MalformedModelError
        The text is not UTF-8.
    """
    if isinstance(value, bytes):
        raise MalformedModelError(f"the model has a name that is not UTF-8: {value[:80]!r}; it is damaged")
    return value


def type_name(number_type: int) -> str:
    """ONNX's name of a number type, for messages."""
    names: list[str] = [name for name, value in TensorProto.DataType.items() if value == number_type]
    return names[0].lower() if names else f"type {number_type}"


def read_tensor(tensor: TensorProto, folder: Path | None) -> NDArray[Any]:
    """The numbers of an initializer or a Constant.

    Parameters
    ----------
    tensor : TensorProto
    folder : Path or None
        The model's folder, in which external data must lie; None refuses external data.

    Raises
    ------
    MalformedModelError
        The tensor claims more than it holds or than the bounds, or its data lies outside the folder.
    UnsupportedModelError
        Its number type is not supported.
    """
    where = f"tensor {text(tensor.name) or '(unnamed)'}"
    if tensor.data_type not in NUMBER_TYPES:
        raise UnsupportedModelError(f"{where} has number type {type_name(tensor.data_type)}: export it as float32")
    shape = tuple(tensor.dims)
    if any(extent < 0 for extent in shape) or prod(shape) > MAX_ELEMENTS:
        raise MalformedModelError(f"{where} claims shape {shape}, the most is {MAX_ELEMENTS} numbers")
    if tensor.HasField("segment"):
        raise UnsupportedModelError(f"{where} is stored in segments: save the model with onnx.save")
    dtype = np.dtype(NUMBER_TYPES[tensor.data_type])
    if tensor.data_location == TensorProto.EXTERNAL:
        return _read_external(tensor, shape, dtype, folder, where)
    if tensor.external_data:
        raise MalformedModelError(f"{where} names external data but does not say that its data is external")
    if tensor.HasField("raw_data") and len(tensor.raw_data) != prod(shape) * dtype.itemsize:
        raise MalformedModelError(
            f"{where} has shape {shape} and number type {dtype}, which takes {prod(shape) * dtype.itemsize} bytes; it "
            f"holds {len(tensor.raw_data)}"
        )
    try:
        return np.asarray(onnx.numpy_helper.to_array(tensor))
    except (ValueError, TypeError, OverflowError) as error:
        raise MalformedModelError(f"{where} of shape {shape} holds other data: {error}") from error


def _read_external(
    tensor: TensorProto, shape: tuple[int, ...], dtype: np.dtype[Any], folder: Path | None, where: str
) -> NDArray[Any]:
    entries = {text(entry.key): text(entry.value) for entry in tensor.external_data}
    path = _external_path(entries.get("location", ""), folder, where)
    size = prod(shape) * dtype.itemsize
    offset = _count(entries.get("offset", "0"), "offset", where)
    length = _count(entries.get("length", str(size)), "length", where)
    if length != size:
        raise MalformedModelError(f"{where} claims {length} bytes of external data, its shape {shape} takes {size}")
    with path.open("rb") as file:
        available = file.seek(0, 2)
        if offset + size > available:
            raise MalformedModelError(
                f"{where} reads bytes {offset} to {offset + size} of {path.name}, which has {available}"
            )
        file.seek(offset)
        data = file.read(size)
    return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype).reshape(shape)


def _external_path(location: str, folder: Path | None, where: str) -> Path:
    """The file that holds external data; links are followed before it is compared with the folder."""
    if folder is None:
        raise MalformedModelError(f"{where} keeps its data in another file, but the model was not read from a folder")
    home = folder.resolve()
    try:
        path = (home / location).resolve()
        inside = path.is_relative_to(home) and path != home
        present = inside and path.is_file()
    except (OSError, ValueError, RuntimeError) as error:
        raise MalformedModelError(f"{where}: its data file {location[:200]!r} cannot be used: {error}") from error
    if not inside:
        raise MalformedModelError(
            f"{where} keeps its data in {location[:200]!r}, which lies outside of the model's folder: only files in "
            "that folder are read; put the data beside the model"
        )
    if not present:
        raise MalformedModelError(f"{where} keeps its data in {location[:200]!r}, which is missing: copy it as well")
    return path


def _count(text: str, what: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise MalformedModelError(f"{where}: {what} of its external data is {text[:40]!r}, which is no byte count")
    return int(text)
