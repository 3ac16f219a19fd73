"""Streaming beside onnxruntime on whole sequences, in the sense of each mode: the oracle of the streaming tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from edgernn.importers.onnx.translation import ImportedModel
from edgernn.program.description import OutputDescription
from edgernn.reference.runner import ReferenceRunner

Array = NDArray[Any]


class Graph:
    """A model in onnxruntime, with time free to be any length."""

    def __init__(self, model: onnx.ModelProto) -> None:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def run(self, imported: ImportedModel, sequences: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs for sequences (T, *frame), by name."""
        feeds = {}
        for name, rows in sequences.items():
            layout = imported.layouts[name]
            axis = layout.time_axis
            batch = layout.batch_axis
            placed = rows[0] if axis is None else np.moveaxis(rows, 0, axis - (batch is not None and batch < axis))
            feeds[name] = placed if batch is None else np.expand_dims(placed, batch)
        names = [output.name for output in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, feeds), strict=True))


def frames_first(imported: ImportedModel, output: OutputDescription, whole: Array) -> Array:
    """An output of the graph with its frames first, each shaped as in a step."""
    shape, axis = imported.program.values[output.value].shape, output.time_axis
    after = axis + (output.frames > 1)  # a step with several frames has them along the axis
    return np.moveaxis(whole.reshape(*shape[:axis], -1, *shape[after:]), axis, 0)


def single_frames(output: OutputDescription, steps: Iterable[Array]) -> list[Array]:
    """The frames of steps that may have several each."""
    if output.frames == 1:
        return list(steps)
    return [frame for step in steps for frame in np.moveaxis(step, output.time_axis, 0)]


def largest_difference(
    model: onnx.ModelProto,
    imported: ImportedModel,
    sequences: Mapping[str, Array],
    runner: type = ReferenceRunner,
    prefixes: int = 6,
    least_steps: int = 1,
) -> float:
    """Stream sequences (T, *frame) and compare all that comes out, in proportion to outputs larger than 1.

    Every frame of a per-frame output, with the tail; an output of the whole sequence on prefixes of several lengths;
    every window. The graph is not defined on prefixes shorter than `least_steps`.
    """
    program, graph = imported.program, Graph(model)
    steps = len(next(iter(sequences.values())))
    stream = runner(program)
    came: dict[str, dict[int, Array]] = {port.name: {} for port in program.outputs}
    with np.errstate(all="ignore"):  # where the sequence is too short for the graph to be defined
        for t in range(steps):
            result = stream.step(
                {name: rows[t] for name, rows in sequences.items()}
                if len(sequences) > 1
                else next(iter(sequences.values()))[t]
            )
            results = result if isinstance(result, dict) else {program.outputs[0].name: result}
            for name, frame in results.items():
                if frame is not None:
                    came[name][t] = np.array(frame)
        flushed = stream.flush()
    tail = flushed if isinstance(flushed, dict) else {program.outputs[0].name: flushed}
    worst = 0.0
    for output in program.description.outputs:
        if program.window is not None:
            pairs = _windows(graph, imported, sequences, output, came[output.name], steps)
        elif output.per_frame:
            whole = frames_first(imported, output, graph.run(imported, sequences)[output.name])
            rest = tail[output.name]  # by a Runner frame by frame
            rest = single_frames(output, rest) if isinstance(rest, list) else list(rest)
            streamed = [*single_frames(output, came[output.name].values()), *rest]
            assert len(streamed) == len(whole), f"{output.name}: {len(streamed)} frames for {len(whole)}"
            assert len(came[output.name]) == output.when.frames_within(steps), "frames come when the schedule says"
            pairs = list(zip(streamed, whole, strict=True))
        else:
            first = max(least_steps, min(came[output.name], default=steps) + 1)
            lengths = sorted({*np.linspace(first, steps, prefixes).astype(int).tolist()})
            pairs = []
            for length in lengths if came[output.name] else []:
                prefix = {name: rows[:length] for name, rows in sequences.items()}
                pairs.append((came[output.name][length - 1], graph.run(imported, prefix)[output.name]))
            if not came[output.name]:  # it comes only at the end
                assert program.description.tail == "flush"
                assert len(tail[output.name]) == 1
                pairs.append((tail[output.name][0], graph.run(imported, sequences)[output.name]))
        for found, expected in pairs:
            scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
            worst = max(worst, float(np.abs(found.ravel() - expected.ravel()).max(initial=0.0)) / scale)
            assert np.isfinite(found).all() == np.isfinite(expected).all()
    return worst


def _windows(
    graph: Graph,
    imported: ImportedModel,
    sequences: Mapping[str, Array],
    output: OutputDescription,
    came: Mapping[int, Array],
    steps: int,
) -> list[tuple[Array, Array]]:
    window = imported.program.window
    assert window is not None
    ends = list(range(window.steps - 1, steps, window.hop))
    assert sorted(came) == ends
    pairs = []
    for t in ends[:: max(1, len(ends) // 4)]:
        rows = {name: rows[t + 1 - window.steps : t + 1] for name, rows in sequences.items()}
        pairs.append((came[t], graph.run(imported, rows)[output.name]))
    return pairs
