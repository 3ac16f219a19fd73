"""Ids and their tables: OneHot, and tables that they choose from.

Source: ONNX OneHot; ai.onnx.ml ArrayFeatureExtractor and LabelEncoder.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.elementwise import emit_pair, number
from edgernn.importers.onnx.rules.layout import merged
from edgernn.importers.onnx.rules.number_types import converted, floats
from edgernn.importers.onnx.streams.timing import NeedsWindowError
from edgernn.importers.onnx.streams.values import Constant as ConstantTensor
from edgernn.importers.onnx.streams.values import Signal, features, is_features
from edgernn.program.operations import Lookup

MAX_ENTRIES = 1 << 20


def one_hot(call: Call) -> Results:
    """OneHot: positions below 0 count from the end, what lies outside gives no 1."""
    indices, depth = call.tensor(0), int(call.array(1, "depth").ravel()[0])
    values = call.array(2, "values")
    if values.shape != (2,) or not 1 <= depth <= MAX_ENTRIES:
        raise call.node.malformed(f"has the depth {depth} and values of shape {values.shape}")
    axis = call.node.integer("axis", -1)
    place = axis % (indices.rank + 1)
    off, on = values.astype(np.float64).tolist()
    if isinstance(indices, ConstantTensor):
        wrapped = np.where(indices.elements < 0, indices.elements + depth, indices.elements)
        hot = np.expand_dims(wrapped, place) == np.arange(depth).reshape(-1, *(1,) * (indices.rank - place))
        axes = (*indices.axes[:place], features(depth), *indices.axes[place:])
        return (ConstantTensor(axes, np.where(hot, values[1], values[0])),)
    ids = floats(call, call.stream(0))
    below = emit_pair(call, "Less", ids, number(0.0), call.inner("below"))
    wrap = emit_pair(call, "Mul", below, number(float(depth)), call.inner("wrap"))
    ids = emit_pair(call, "Add", ids, wrap, call.inner("ids"))  # type: ignore[assignment]
    column = ids.moved((*ids.axes[:place], (), *ids.axes[place:]), np.expand_dims(ids.elements, place))
    places = np.arange(depth, dtype=np.float32).reshape(-1, *(1,) * (indices.rank - place))
    hot = (off, on) == (0.0, 1.0)
    y = emit_pair(call, "Equal", column, ConstantTensor.of(places), call.output if hot else call.inner("hot"))
    if hot:
        return (y,)
    scaled = emit_pair(call, "Mul", y, number(on - off), call.inner("scaled"))
    return (emit_pair(call, "Add", scaled, number(off), call.output),)


def looked_up(call: Call, table: NDArray[Any], ids: Signal, output: str) -> Signal:
    """``table[ids]`` of a vector; integers stay integers."""
    builder = call.builder
    whole_number = table.dtype.kind in "iu"
    if whole_number and (np.abs(table.astype(np.float64)) > 2**24).any():
        raise call.node.unsupported("has a table of integers above 2^24: use smaller ones")
    ids = converted(call, ids, "int32", call.inner("ids"))
    name = call.inner("entries") if whole_number else output
    builder.emit(
        Lookup(
            name=builder.unique_operation(call.node.name),
            inputs=(builder.value_of_any_shape(ids),),
            outputs=(name,),
            sources=builder.sources,
            table=builder.weight(f"{call.node.name}.table", table),
        ),
        ids.timing,
    )
    return converted(call, Signal.of(name, ids.axes, ids.timing), "int32" if whole_number else "float32", output)


def array_feature_extractor(call: Call) -> Results:
    """ArrayFeatureExtractor: entries of a constant vector, or features of a signal by constant positions."""
    x, y = call.tensor(0), call.tensor(1)
    if isinstance(x, ConstantTensor) and isinstance(y, Signal):
        table = call.array(0, "X")
        if table.size != table.shape[-1]:
            raise call.node.unsupported("looks up rows of a matrix by ids that vary in time")
        found = chosen_entries(call, table.ravel(), call.stream(1), call.output)
        flat = merged(list(chain.from_iterable(found.axes)))
        return (found.moved(((), flat), found.elements.reshape(1, -1)),)
    places = call.array(1, "Y").ravel()
    if not is_features(x.axes[-1]):
        raise NeedsWindowError(f"{call.node!r} takes frames by their position in time")
    return (x.moved((*x.axes[:-1], features(len(places))), x.elements.take(places, -1)),)


def chosen_entries(call: Call, table: NDArray[Any], ids: Signal, output: str) -> Signal:
    """``table[ids]``; a table that counts from 0 gives the ids as they are."""
    is_count = table.dtype.kind in "iu" and bool((table == np.arange(len(table))).all())
    return converted(call, ids, "int32", output) if is_count else looked_up(call, table, ids, output)


def label_encoder(call: Call) -> Results:
    """LabelEncoder of ids that count from 0; where it gives texts, the ids stay what they are."""
    node = call.node
    keys = node.integers("keys_int64s")
    node.ignore("default_string", "default_int64", "default_float", "default_tensor")
    if keys is None or keys != list(range(len(keys))) or not isinstance(call.tensor(0), Signal):
        raise node.unsupported("maps something other than the ids 0, 1, 2, ...: leave it to the code behind the model")
    texts = node.words("values_strings")
    if texts is not None:
        warn_of_index(call, texts)
        return (call.tensor(0),)
    whole, real = node.integers("values_int64s"), node.numbers("values_floats")
    table = np.array(whole) if whole is not None else np.array(real or [], np.float32)
    if len(table) != len(keys):
        raise node.malformed(f"has {len(keys)} keys and {len(table)} values")
    return (chosen_entries(call, table, call.stream(0), call.output),)


def warn_of_index(call: Call, labels: list[str]) -> None:
    """Say that a label that is a text comes as its index."""
    shown = ", ".join(labels[:8]) + (", ..." if len(labels) > 8 else "")
    call.builder.warnings.append(f"{call.node!r} gives the index of a label, not its text; the labels are {shown}")
