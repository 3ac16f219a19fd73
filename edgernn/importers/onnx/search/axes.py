"""Which axis of an input is time, and which is the batch.

The file does not say. The likeliest layout is tried first: names of dynamic axes speak for it, else batch comes before
time. A rule that meets time where its operator does not run over time (a GRU over the batch, say) raises
`WrongAxisError`. Then the other layouts are tried, but such a one counts only if a recurrence runs over its time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from edgernn.errors import InputError, UnsupportedModelError
from edgernn.importers.onnx.graph.graph import Graph, GraphInput
from edgernn.importers.onnx.graph.node import Node
from edgernn.importers.onnx.streams.dimension import BATCH, TIME
from edgernn.importers.onnx.streams.values import Axis, Factor, Role, features

TIME_NAMES = re.compile(r"time|seq|step|frame|len|^[tTlL]$")
BATCH_NAMES = re.compile(r"batch|^(n|N|b|B|bs)$")
CELL_STATES = {"RNN": (5,), "GRU": (5,), "LSTM": (5, 6)}  # positions of initial_h and initial_c
STATE_PLACES = {**CELL_STATES, "CausalConvWithState": (3,), "LinearAttention": (3,)}

# axes of batch and time of an input with so many axes, the usual ones first
CONVENTIONS: dict[int, list[tuple[int | None, int | None]]] = {
    0: [(None, None)],
    1: [(None, None), (None, 0), (0, None)],
    2: [(0, None), (None, 0), (0, 1), (None, 1)],
    3: [(0, 1), (1, 0), (0, 2)],
    4: [(0, 1), (1, 0), (0, 2), (0, 3)],
}
# operators over channels, on axis 1, and over space behind it; and such as keep the axes of their first input
SPATIAL = {"Conv", "ConvTranspose", "BatchNormalization", "InstanceNormalization", "GroupNormalization", "MaxPool"}
SPATIAL |= {"AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool", "FusedConv", "QLinearConv", "ConvInteger"}
KEEPERS = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"}
KEEPERS |= {"Identity", "Cast", "Dropout", "Pad", "Add", "Sub", "Mul", "Div", "Clip", "Abs", "Log", "Sqrt", "Relu"}
FOR_SURE = 8  # outweighs what names say
MOVERS = {"Slice", "Squeeze", "Unsqueeze", "Reshape", "Transpose", "Split", "Gather", "Identity", "Cast", "Concat"}


class WrongAxisError(UnsupportedModelError):
    """The model does not fit the assumed axes of time and batch; the text says where."""


@dataclass(frozen=True)
class Layout:
    """Where an input has its batch and time axis; None where it has none."""

    batch_axis: int | None
    time_axis: int | None

    def axes(self, dimensions: Sequence[int | str]) -> tuple[Axis, ...]:
        """The axes of an input. Time or batch of extent 1 need no following: they may vanish and come back anywhere."""
        axes: list[Axis] = []
        for i, dimension in enumerate(dimensions):
            if i == self.time_axis and dimension != 1:
                axes.append((Factor(Role.TIME, dimension if isinstance(dimension, int) else TIME),))
            elif i == self.batch_axis and dimension != 1:
                axes.append((Factor(Role.BATCH, dimension if isinstance(dimension, int) else BATCH),))
            else:
                assert isinstance(dimension, int)
                axes.append(features(dimension))
        return tuple(axes)

    def step_shape(self, dimensions: Sequence[int | str]) -> tuple[int, ...]:
        """Shape of one frame: time and batch removed."""
        outside = (self.batch_axis, self.time_axis)
        return tuple(d for i, d in enumerate(dimensions) if i not in outside and isinstance(d, int))


def find_state_inputs(graph: Graph) -> frozenset[str]:
    """Inputs that reach only the initial states of recurrent operators, if anything."""
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in dict.fromkeys(filter(None, node.inputs)):
            readers.setdefault(name, []).append(node)
    only_begins: dict[str, bool] = dict.fromkeys(graph.outputs, False)
    for node in reversed(graph.nodes):
        for name in filter(None, node.outputs):
            _decide(name, readers, only_begins)
    for entry in graph.inputs:
        _decide(entry.name, readers, only_begins)
    return frozenset(entry.name for entry in graph.inputs if only_begins[entry.name])


def find_caches(graph: Graph) -> frozenset[str]:
    """Inputs of at most one dynamic axis that something else is joined to, as frames are to a cache."""
    first = {node.inputs[0] for node in graph.nodes if node.operator == "Concat" and len(node.inputs) == 2}
    plain = [entry for entry in graph.inputs if sum(isinstance(d, str) for d in entry.dimensions) <= 1]
    found = frozenset(entry.name for entry in plain if entry.name in first)
    return found if len(found) < len(graph.inputs) else frozenset()


def _decide(name: str, readers: dict[str, list[Node]], only_begins: dict[str, bool]) -> None:
    """Whether all that is computed from a tensor begins recurrences; its readers are materialized already."""
    if name in only_begins:
        return
    only_begins[name] = name in readers and all(
        _begins(name, node)
        or (node.operator in MOVERS and all(only_begins[output] for output in filter(None, node.outputs)))
        for node in readers[name]
    )


def _begins(name: str, node: Node) -> bool:
    states = STATE_PLACES.get(node.operator, ())
    places = {i for i, read in enumerate(node.inputs) if read == name}
    return bool(places) and places <= set(states)


def layouts(graph: Graph, time_axis: int | None, state_inputs: frozenset[str]) -> Iterator[dict[str, Layout]]:
    """Layouts of all inputs by name, the likeliest first. Inputs of the same rank share a layout.

    Raises
    ------
    InputError
        `time_axis` does not exist.
    """
    data = [entry for entry in graph.inputs if entry.name not in state_inputs]
    by_rank: dict[int, list[GraphInput]] = {}
    for entry in data:
        by_rank.setdefault(len(entry.dimensions), []).append(entry)
    choices = list(
        product(
            *(_rank_layouts(graph, rank, entries, time_axis, bool(state_inputs)) for rank, entries in by_rank.items())
        )
    )
    found = False
    for has_time_invariant in (False, True):
        for choice in choices:
            chosen = dict(zip(by_rank, choice, strict=True))
            placed = {entry.name: chosen[len(entry.dimensions)] for entry in data}
            if has_time_invariant:
                placed |= _without_time(data, placed)
            batch, time = (
                {entry.dimensions[axis] for entry in data if (axis := getattr(placed[entry.name], kind)) is not None}
                for kind in ("batch_axis", "time_axis")
            )
            if not _agree(batch) or not _agree(time) or (has_time_invariant and time <= {1}):
                continue
            states = {entry.name: _state_layout(entry, batch) for entry in graph.inputs if entry.name in state_inputs}
            found = True
            yield placed | states
        if found:
            return


def _without_time(data: Sequence[GraphInput], placed: dict[str, Layout]) -> dict[str, Layout]:
    """Inputs whose extent is another than the time of the first one, so that they have none."""
    times = [(entry, placed[entry.name].time_axis) for entry in data]
    first = next((entry.dimensions[axis] for entry, axis in times if axis is not None), 1)
    return {
        entry.name: replace(placed[entry.name], time_axis=None)
        for entry, axis in times
        if axis is not None and not _agree({first, entry.dimensions[axis]}) and isinstance(entry.dimensions[axis], int)
    }


def step_layouts(graph: Graph) -> dict[str, Layout] | None:
    """Layouts of a graph that is one step as a whole; None where an input has an axis of many frames for sure."""
    for entry in graph.inputs:
        dynamic = [dimension for dimension in entry.dimensions if isinstance(dimension, str)]
        if len(dynamic) > 1 or any(TIME_NAMES.search(name) for name in dynamic):
            return None
    return {entry.name: _state_layout(entry, {1}) for entry in graph.inputs}


def hides_time(graph: Graph, layout: dict[str, Layout]) -> bool:
    """Whether an axis that bears the name of time is taken for the batch."""
    batches = [(entry, layout[entry.name].batch_axis) for entry in graph.inputs]
    return any(
        axis is not None and isinstance(name := entry.dimensions[axis], str) and bool(TIME_NAMES.search(name))
        for entry, axis in batches
    )


def _rank_layouts(
    graph: Graph, rank: int, entries: list[GraphInput], time_axis: int | None, has_states: bool = False
) -> list[Layout]:
    """Layouts in which every dynamic axis is time or batch; a row of ids is more likely a sequence than a frame."""
    if time_axis is not None and not -rank <= time_axis < rank:
        raise InputError(f"time_axis is {time_axis}, but input {entries[0]} has {rank} axes")
    candidates = [Layout(*axes) for axes in CONVENTIONS[min(rank, 4)]]
    if time_axis is not None:
        candidates = [layout for layout in candidates if layout.time_axis == time_axis % rank]
    allowed = [layout for layout in candidates if all(_covers(layout, entry) for entry in entries)]
    spatial = None if has_states else _first_spatial_axis(graph, entries)
    is_row_of_ids = rank == 2 and all(entry.is_integer for entry in entries) and not has_states

    def unlikely(layout: Layout) -> int:
        time = layout.time_axis
        is_one_step = time is None or entries[0].dimensions[time] == 1
        is_unlikely_row = is_row_of_ids and (is_one_step or time != rank - 1)
        is_outside = spatial is not None and (time is None or time < spatial)
        return _unlikely(layout, entries[0]) + is_unlikely_row + FOR_SURE * is_outside

    return sorted(allowed, key=unlikely)


def _first_spatial_axis(graph: Graph, entries: Sequence[GraphInput]) -> int | None:
    """The first axis of inputs that go into an operator over channels and space as they are; None where none does."""
    for entry in entries:
        places = {entry.name: 2}  # tensors that have the axes of the input, and which of these are spatial
        for node in graph.nodes:
            place = places.get(next(iter(node.inputs), ""))
            if place is None:
                continue
            rank = len(entry.dimensions) + 2 - place
            if node.operator in SPATIAL and rank > 2:
                return place
            if node.operator in KEEPERS:
                places[node.outputs[0]] = place
            elif node.operator == "Unsqueeze" and place == 2 and _inserted(graph, node) in ([1], [1 - rank]):
                places[node.outputs[0]] = 1
    return None


def _inserted(graph: Graph, node: Node) -> list[int] | None:
    return graph.integers(node.inputs[1]) if len(node.inputs) > 1 else node.integers("axes")


def _agree(extents: set[int | str]) -> bool:
    """Whether extents of one role can be the same: one number, or dynamic whatever the names are."""
    return len(extents) <= 1 or all(isinstance(extent, str) for extent in extents)


def _covers(layout: Layout, entry: GraphInput) -> bool:
    outside = (layout.batch_axis, layout.time_axis)
    return all(isinstance(d, int) or i in outside for i, d in enumerate(entry.dimensions))


def _unlikely(layout: Layout, entry: GraphInput) -> int:
    """How much the names of the axes speak against the layout."""
    against = 0
    for axis, right, wrong in (
        (layout.time_axis, TIME_NAMES, BATCH_NAMES),
        (layout.batch_axis, BATCH_NAMES, TIME_NAMES),
    ):
        name = entry.dimensions[axis] if axis is not None else ""
        if isinstance(name, str) and name:
            against += 2 * bool(wrong.search(name)) - bool(right.search(name))
    return against


def _state_layout(entry: GraphInput, batch: set[int | str]) -> Layout:
    """Where a state input has its batch axis: where it is dynamic, else where its extent fits."""
    dynamic = [i for i, dimension in enumerate(entry.dimensions) if not isinstance(dimension, int)]
    if len(dynamic) > 1:
        raise UnsupportedModelError(f"state input {entry} has {len(dynamic)} dynamic axes: only the batch may be so")
    if dynamic:
        return Layout(dynamic[0], None)
    extents = batch | {1}
    order = [1, 0] if len(entry.dimensions) >= 3 else [0]
    fitting = [axis for axis in order if axis < len(entry.dimensions) and entry.dimensions[axis] in extents]
    return Layout(fitting[0] if fitting and len(entry.dimensions) > 1 else None, None)
