"""What is set for good: inputs, such as a sampling rate that chooses a branch, and free lengths of inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto, numpy_helper

from edgernn.errors import InputError
from edgernn.importers.onnx.graph.tensors import NUMBER_TYPES, text, type_name

Number = bool | int | float
MAX_NUMBERS = 1 << 16  # of one input
MAX_LENGTH = 10_000_000


def fix_inputs(model: ModelProto, fixed: Mapping[str, Number | Sequence[Number]]) -> ModelProto:
    """A model in which inputs are constants, and free dimensions of inputs have a length.

    Parameters
    ----------
    model : ModelProto
        Left as it is.
    fixed : mapping of str to number or sequence of numbers
        By the input's name. A single number fills an input whose shape has several; an input of free length takes as
        many numbers as are given. The name of a free dimension, or ``input[axis]``, sets that dimension.

    Returns
    -------
    ModelProto
        Without these inputs, and with initializers of their names; with these dimensions.

    Raises
    ------
    InputError
        The model has no such input or dimension, or the numbers do not fit its type or shape.
    """
    entries = {text(entry.name): entry for entry in model.graph.input}
    made = ModelProto()
    made.CopyFrom(model)
    for name, value in fixed.items():
        if name not in entries:
            _set_length(made.graph.input, name, value)
            continue
        array = _array(entries[name], value)
        for field in (made.graph.input, made.graph.initializer):
            kept = [entry for entry in field if entry.name != name]
            del field[:]
            field.extend(kept)
        made.graph.initializer.append(numpy_helper.from_array(array, name))
    return made


def _set_length(inputs: Sequence[ValueInfoProto], name: str, value: Number | Sequence[Number]) -> None:
    """Give a free dimension of the inputs a length."""
    found = [
        dimension
        for entry in inputs
        for axis, dimension in enumerate(entry.type.tensor_type.shape.dim)
        if not dimension.HasField("dim_value") and name in (dimension.dim_param, f"{entry.name}[{axis}]")
    ]
    if not found or not name:
        free = [
            dimension.dim_param or f"{entry.name}[{axis}]"
            for entry in inputs
            for axis, dimension in enumerate(entry.type.tensor_type.shape.dim)
            if not dimension.HasField("dim_value")
        ]
        raise InputError(
            f"there is no input {name!r} to set; inputs are {', '.join(text(entry.name) for entry in inputs)}, "
            f"their free dimensions {', '.join(dict.fromkeys(free)) or 'none'}"
        )
    lengths = np.atleast_1d(value)
    if lengths.size != 1 or not 1 <= float(lengths[0]) <= MAX_LENGTH or float(lengths[0]) % 1:
        raise InputError(f"dimension {name} can be set to a whole number from 1 to {MAX_LENGTH}")
    for dimension in found:
        dimension.dim_value = int(lengths[0])


def _array(entry: ValueInfoProto, value: Number | Sequence[Number]) -> NDArray[Any]:
    """The numbers as a tensor of the input's type and shape."""
    name, kind = text(entry.name), entry.type.tensor_type
    if kind.elem_type not in NUMBER_TYPES:
        raise InputError(f"input {name} is {type_name(kind.elem_type)}, which cannot be set to numbers")
    given = np.asarray(value)
    if given.ndim > 1 or given.size > MAX_NUMBERS or given.dtype.kind not in "biuf":
        raise InputError(f"input {name} can be set to a number or a list of at most {MAX_NUMBERS} numbers")
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
    with np.errstate(all="ignore"):
        array = given.astype(dtype)
    if not np.array_equal(array.astype(np.float64), given.astype(np.float64)) and dtype.kind != "f":
        raise InputError(f"input {name} is {dtype}, which cannot hold {value}")
    extents = [one.dim_value if one.HasField("dim_value") else 0 for one in kind.shape.dim]
    if 0 not in extents:
        if array.size not in (1, prod(extents)):
            raise InputError(f"input {name} has the shape {extents}, which does not take {array.size} numbers")
        return np.broadcast_to(array.reshape(-1 if array.size > 1 else 1), prod(extents)).reshape(extents).copy()
    free = extents.index(0)
    known = prod(extent for extent in extents if extent)
    if array.size % known or extents.count(0) > 1 + (array.size == 1) * len(extents):
        raise InputError(f"input {name} has a free shape, which {array.size} numbers do not fill")
    shape = [extent or 1 for extent in extents]
    shape[free] = array.size // known
    return array.reshape(shape).copy()
