"""ONNX models for the tests of the importer: made by hand, run in onnxruntime, streamed step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edgernn.importers.onnx.importer import import_model
from edgernn.importers.onnx.translation import ImportedModel
from edgernn.reference.runner import ReferenceRunner

Array = NDArray[Any]
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
IR_VERSION = 8


def make_model(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Sequence[str],
    weights: Mapping[str, Array] | None = None,
    *,
    opset: int = 17,
    properties: Mapping[str, str] | None = None,
    producer: str = "tests",
) -> onnx.ModelProto:
    """A model with float32 inputs of the given shapes, where a text is a dynamic axis."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (weights or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION)
    model.producer_name = producer
    helper.set_model_props(model, dict(properties or {}))
    return model


def cell_weights(
    operator: str, inputs: int, hidden: int, rng: np.random.Generator, prefix: str = ""
) -> dict[str, Array]:
    """Random W, R and B of a recurrent operator, in the range where a recurrence is not chaotic."""
    rows, limit = GATES[operator] * hidden, 1 / np.sqrt(hidden)
    shapes = {"W": (1, rows, inputs), "R": (1, rows, hidden), "B": (1, 2 * rows)}
    return {f"{prefix}{name}": rng.uniform(-limit, limit, shape).astype(np.float32) for name, shape in shapes.items()}


def run_original(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """The model's outputs on whole sequences, by onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def stored_arrays(path: Path) -> dict[str, Array]:
    """What is stored beside a model."""
    with np.load(path) as stored:
        return dict(stored)


def graph_arrays(path: Path, keys: str, stored_in: Path | None = None) -> tuple[dict[str, Array], dict[str, Array]]:
    """Inputs and outputs that are stored beside a model, by their names in the graph."""
    graph = onnx.load(path).graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [entry.name for entry in graph.input if entry.name not in weights]
    stored = stored_arrays(stored_in or path.with_suffix(".npz"))
    feeds = {name: stored[f"{keys}in{i}"] for i, name in enumerate(inputs)}
    return feeds, {entry.name: stored[f"{keys}out{i}"] for i, entry in enumerate(graph.output)}


def largest_difference(
    imported: ImportedModel, feeds: Mapping[str, Array], expected: Mapping[str, Array], runner: type = ReferenceRunner
) -> float:
    """Stream each sample of the batch from its own initial state; compare all outputs and last states.

    Parameters
    ----------
    imported : ImportedModel
    feeds, expected : mapping of str to ndarray
        Inputs and outputs of the graph, with their axes of time and batch.
    runner : type
        What steps the program.
    """
    program, layouts = imported.program, imported.layouts
    ports = [port.name for port in program.inputs]
    first = layouts[ports[0]]
    batch = 1 if first.batch_axis is None else feeds[ports[0]].shape[first.batch_axis]
    steps = 1 if first.time_axis is None else feeds[ports[0]].shape[first.time_axis]
    worst = 0.0
    for sample in range(batch):
        stepper = runner(program)
        for slot in program.state:
            if slot.name in feeds:
                initial = _of_sample(feeds[slot.name], layouts[slot.name].batch_axis, sample)
                stepper.state[slot.name][...] = initial.reshape(slot.shape)
        frames: dict[str, list[Array]] = {port.name: [] for port in program.outputs}
        for step in range(steps):
            _append(frames, stepper.step(_frame(imported, feeds, sample, step)))
        flushed = stepper.flush()
        tails = flushed if isinstance(flushed, dict) else {program.outputs[0].name: flushed}
        for output in program.description.outputs:
            rank = len(program.values[output.value].shape)  # of a step, which may hold several frames
            for y in tails.get(output.name, ()):
                frames[output.name].append(np.expand_dims(y, output.time_axis) if y.ndim < rank else y)
        got = {
            output.name: (np.stack if output.frames == 1 else np.concatenate)(frames[output.name], output.time_axis)
            if output.per_frame
            else frames[output.name][-1]
            for output in program.description.outputs
        }
        got |= {output: np.asarray(stepper.state[name][...]) for name, output in imported.pairs.items()}
        worst = max(worst, *(_difference(got[name], expected[name], batch, sample) for name in got))
    return worst


def _append(frames: dict[str, list[Array]], result: Any) -> None:
    """Keep copies of what a step gave."""
    for name, frame in (result if isinstance(result, dict) else dict.fromkeys(frames, result)).items():
        if frame is not None:
            frames[name].append(np.array(frame))


def _frame(imported: ImportedModel, feeds: Mapping[str, Array], sample: int, step: int) -> Any:
    frame = {}
    for port in imported.program.inputs:
        layout = imported.layouts[port.name]
        array = feeds[port.name]
        if layout.time_axis is not None:
            array = array.take([step], layout.time_axis)
        frame[port.name] = _of_sample(array, layout.batch_axis, sample).reshape(port.shape)
    return frame if len(frame) > 1 else next(iter(frame.values()))


def _of_sample(array: Array, batch_axis: int | None, sample: int) -> Array:
    return array if batch_axis is None else array.take(sample, batch_axis)


def _difference(got: Array, expected: Array, batch: int, sample: int) -> float:
    """Largest difference to one sample of the batch, which is some axis of that extent."""
    if expected.size == got.size:
        samples = [expected]
    else:
        samples = [expected.take(sample, axis) for axis in range(expected.ndim) if expected.shape[axis] == batch]
    return float(min(np.abs(got.ravel() - one.ravel()).max() for one in samples if one.size == got.size))


def check_against_original(
    model: onnx.ModelProto, feeds: Mapping[str, Array], tolerance: float = 1e-5, **options: Any
) -> ImportedModel:
    """Import a model, stream it and compare with onnxruntime."""
    imported = import_model(model, **options)
    assert largest_difference(imported, feeds, run_original(model, feeds)) < tolerance
    return imported
