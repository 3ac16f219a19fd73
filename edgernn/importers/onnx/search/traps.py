"""What exporters are known to do to sequence models, told in a sentence where a file shows it.

None of it changes what the model computes; but who knows it understands why another runtime fails, or why the graph has
thousands of nodes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from edgernn.importers.onnx.graph.graph import Graph
from edgernn.importers.onnx.search.axes import Layout

EXAMPLE = "the exporter's example"


def traps(graph: Graph, layout: Mapping[str, Layout], sequences: Collection[str]) -> list[str]:
    """Sentences on what the file has of the known traps.

    Parameters
    ----------
    graph : Graph
        As it is imported, with recurrences that were written out rolled up.
    layout : mapping of str to Layout
        Where time is.
    sequences : collection of str
        Outputs that have a frame for each of the input.
    """
    notes = [*_rolled(graph), *_loops(graph), *_frozen(graph, layout)]
    return notes + _stale_shapes(graph, layout, sequences)


def _rolled(graph: Graph) -> list[str]:
    """nn.RNN by PyTorch's newer exporter, static_rnn of TensorFlow 1, unroll=True of Keras."""
    return [
        f"the recurrence at {name} was written out step by step, {steps} times: it is one step again"
        for name, steps in graph.rolled.items()
    ]


def _loops(graph: Graph) -> list[str]:
    """GRU and SimpleRNN of Keras, dynamic_rnn of TensorFlow 1, scripted loops of PyTorch."""
    rolled = {f"{name}:rolled" for name in graph.rolled}
    return [
        f"{node!r} is a loop, as Keras and TensorFlow write recurrences: what it carries is kept as states"
        for node in graph.nodes
        if node.operator in ("Loop", "Scan") and node.name not in rolled
    ]


def _frozen(graph: Graph, layout: Mapping[str, Layout]) -> list[str]:
    """Lengths of the example that became part of the model."""
    notes = []
    for entry in graph.inputs:
        axis = layout[entry.name].time_axis
        length = entry.dimensions[axis] if axis is not None else ""
        if not isinstance(length, int) or length == 1:
            continue
        notes.append(f"the file fixes the length of {entry.name} at {length} steps, those of {EXAMPLE}")
        reshapes = [
            node for node in graph.nodes if node.operator == "Reshape" and _holds(graph, node.inputs[1], length)
        ]
        if reshapes:
            notes.append(f"{reshapes[0]!r} holds the {length} steps of {EXAMPLE} in its shape")
    return notes


def _holds(graph: Graph, name: str, length: int) -> bool:
    shape = graph.integers(name)
    return shape is not None and length in shape


def _stale_shapes(graph: Graph, layout: Mapping[str, Layout], sequences: Collection[str]) -> list[str]:
    """Shapes of outputs that keep a number of steps, although the input leaves it open."""
    places = [(entry, layout[entry.name].time_axis) for entry in graph.inputs]
    if not any(axis is not None and isinstance(entry.dimensions[axis], str) for entry, axis in places):
        return []
    named = [name for name in sequences if _is_stale(graph.output_shapes[name])]
    return [
        f"the file says that {name} has the shape {list(graph.output_shapes[name])}, that of {EXAMPLE}, though the "
        "length of its input is open: edgernn does not trust such shapes, other runtimes may fail at another length"
        for name in named
    ]


def _is_stale(shape: tuple[int | str, ...]) -> bool:
    return len(shape) > 1 and all(isinstance(extent, int) for extent in shape)
