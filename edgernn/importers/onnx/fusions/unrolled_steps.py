"""Steps of a recurrence that is written out step by step: which frames they read, and whether they are the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgernn.importers.onnx.graph.graph import Graph
from edgernn.importers.onnx.graph.node import Node

MIN_STEPS = 3
PICKERS = {"Slice", "Gather", "Split"}


@dataclass(frozen=True)
class IndexedFrames:
    """A sequence of which every frame is picked by itself; `frames` in order of time, without the axis."""

    sequence: str
    axis: int
    frames: tuple[str, ...]
    keeps_axis: bool


@dataclass(frozen=True)
class Steps:
    """Steps that are the same; tensors go by the names that they have in one of them, the body.

    Attributes
    ----------
    body : tuple of Node
        The nodes of one step, in order.
    names : tuple of mapping of str to str
        For each step, what it calls a tensor of the body.
    before : dict of str to str
        What the body reads of the step before: the name there, and that of the same tensor in the body.
    initial : dict of str to str
        What the first step reads in place of a tensor of the step before it.
    place : int
        Which step the body is; not the first.
    shortened : tuple of Node
        The first step, where it is not written like the others.
    """

    body: tuple[Node, ...]
    names: tuple[Mapping[str, str], ...]
    before: dict[str, str]
    initial: dict[str, str]
    place: int = 1
    shortened: tuple[Node, ...] = ()


def indexed_sequences(graph: Graph) -> Iterator[IndexedFrames]:
    """Sequences of which all frames, from the first to the last, are picked one by one."""
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    for sequence in dict.fromkeys(node.inputs[0] for node in graph.nodes if node.operator in PICKERS):
        by_axis: dict[int, dict[int, tuple[str, bool]]] = {}
        for node in readers[sequence]:
            for axis, position, name, keeps_axis in _picks_of(graph, node):
                frame = _squeezed(graph, name, axis, readers) if keeps_axis else (name, False)
                by_axis.setdefault(axis, {}).setdefault(position, frame)
        for axis, found in by_axis.items():
            positions = sorted(found)
            is_whole = positions == list(range(len(positions)))
            if is_whole and len(positions) >= MIN_STEPS and len({keeps for _, keeps in found.values()}) == 1:
                frames = tuple(found[position][0] for position in positions)
                yield IndexedFrames(sequence, axis, frames, found[0][1])


def _picks_of(graph: Graph, node: Node) -> Iterator[tuple[int, int, str, bool]]:
    """Axis, position, name and whether the axis stays, of each single frame that a node picks."""
    if node.operator == "Gather":
        positions = graph.integers(node.inputs[1])
        if positions is not None and len(positions) == 1:
            yield node.integer("axis", 0), positions[0], node.outputs[0], not graph.is_scalar(node.inputs[1])
    elif node.operator == "Slice" and node.opset >= 10 and len(node.inputs) >= 4:
        starts, ends, axes = (graph.integers(name) for name in node.inputs[1:4])
        steps = graph.integers(node.inputs[4]) if len(node.inputs) > 4 else [1]
        if starts and ends and axes and steps == [1] and len(starts) == 1 and 0 <= starts[0] == ends[0] - 1:
            yield axes[0], starts[0], node.outputs[0], True
    elif node.operator == "Split":
        sizes = graph.integers(node.inputs[1]) if len(node.inputs) > 1 else node.integers("split")
        if sizes is None or set(sizes) == {1}:
            axis = node.integer("axis", 0)
            yield from ((axis, position, name, True) for position, name in enumerate(node.outputs))


def _squeezed(graph: Graph, name: str, axis: int, readers: Mapping[str, list[Node]]) -> tuple[str, bool]:
    """The frame behind a Squeeze of its axis, where nothing else reads it."""
    found = readers.get(name, [])
    if len(found) == 1 and found[0].operator == "Squeeze":
        (node,) = found
        axes = graph.integers(node.inputs[1]) if len(node.inputs) > 1 else node.integers("axes")
        if axes == [axis]:
            return node.outputs[0], False
    return name, True


# ---- steps that are the same


def groups(graph: Graph, frames: Sequence[str]) -> list[list[Node]]:
    """The nodes that need a frame but none behind it, for each frame."""
    levels = {name: step for step, name in enumerate(frames)}
    groups: list[list[Node]] = [[] for _ in frames]
    for node in graph.nodes:
        known = [levels[name] for name in (*node.inputs, *node.captured) if name in levels]
        if known and node.outputs[0] not in levels:
            levels.update(dict.fromkeys(filter(None, node.outputs), max(known)))
            groups[max(known)].append(node)
    return groups


def equal_steps(groups: Sequence[Sequence[Node]], frames: Sequence[str]) -> Steps | None:
    """The steps of a recurrence; None where they differ, or where none reads the one before."""
    body = groups[1]
    if any(node.captured for node in body):
        return None
    first = _first_step(groups[0], body, frames)
    if first is None:
        return None
    names_0, initial = first
    in_second = {old: new for new, old in names_0.items()}
    own = {name for node in body for name in node.outputs}
    read = {name for node in body for name in node.inputs}
    before = {old: new for old, new in in_second.items() if old in read and old not in own}
    if not before or not set(before.values()) <= set(initial):
        return None
    names: list[Mapping[str, str]] = [names_0, {name: name for name in own}]
    for step in range(2, len(frames)):
        found = _same_step(groups[step], body, before, frames[1], frames[step], names[-1])
        if len(found) < len(own) and step < len(frames) - 1:
            return None
        names.append(found)
    return Steps(tuple(body), tuple(names), before, initial)


def _same_step(
    group: Sequence[Node],
    body: Sequence[Node],
    before: Mapping[str, str],
    frame: str,
    frame_here: str,
    names_before: Mapping[str, str],
) -> dict[str, str]:
    """What a step calls the tensors of the body; without those that it does not have.

    The last step does not compute what only a step behind it would need.
    """
    index = {(node.fingerprint, node.inputs): node for node in group}
    names = {frame: frame_here}
    for node in body:
        inputs = tuple(names_before[before[name]] if name in before else names.get(name, name) for name in node.inputs)
        here = index.get((node.fingerprint, inputs))
        if here is not None:
            names.update(zip(node.outputs, here.outputs, strict=True))
    del names[frame]
    return names


def _first_step(
    group: Sequence[Node], body: Sequence[Node], frames: Sequence[str]
) -> tuple[dict[str, str], dict[str, str]] | None:
    """What the first step calls the tensors of the body, and what it reads in place of those of a step before it."""
    written = {name for node in group for name in node.outputs}
    names, free = {frames[1]: frames[0]}, list(group)
    bound: dict[str, str] = {}  # a tensor of the first step that the second reads -> what the first reads in its place
    for node in body:
        for here in free:
            if here.fingerprint == node.fingerprint and len(here.inputs) == len(node.inputs):
                new = {there: own for there, own in zip(node.inputs, here.inputs, strict=True) if there in written}
                fits = all(
                    there in written or names.get(there, there) == own
                    for there, own in zip(node.inputs, here.inputs, strict=True)
                )
                if fits and all(bound.get(name, own) == own for name, own in new.items()):
                    break
        else:
            return None
        free.remove(here)
        bound.update(new)
        names.update(zip(node.outputs, here.outputs, strict=True))
    del names[frames[1]]
    in_second = {old: new for new, old in names.items()}
    if not set(bound) <= set(in_second):
        return None
    return names, {in_second[name]: own for name, own in bound.items()}
