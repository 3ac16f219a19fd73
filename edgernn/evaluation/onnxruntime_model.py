"""The model as it was exported, in onnxruntime, on whole sequences: what streaming is compared with.

The graph runs as it is written: without onnxruntime's optimisations, and without the shapes that exporters note beside
the graph (``value_info``), which are stale where the length of time is not the exporter's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import lcm, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import InputError, MissingPackageError

if TYPE_CHECKING:
    import onnx

    from edgernn.importers.onnx.translation import ImportedModel

Array = NDArray[Any]
RECURRENT, SEQUENCE_LENS = {"RNN", "GRU", "LSTM"}, 4  # ONNX operators, and the position of that input
FREE_TIME = "edgernn_time"  # name of the time axis where a frozen length was lifted


class FixedLengthError(InputError):
    """The original does not run at this length of time."""


class OnnxruntimeModel:
    """An ONNX model in onnxruntime.

    Parameters
    ----------
    path : Path
        The ONNX file that `program` was made from.
    imported : ImportedModel
        What `edgernn.importers.import_onnx` made of it.

    Attributes
    ----------
    pairs : dict of str to str
        For each state input of the graph the output that feeds it.
    frozen_steps : int or None
        The length of time in the file, None where it is free. Some exporters call time free, but leave the length of
        their example in the outputs' shapes: then it is that.
    only_length : int or None
        `frozen_steps` if the graph runs at no other length, None if it does.
    tolerance : float
        Largest difference that is none for outputs of order one, as the graph's numbers are.
    is_one_step : bool
        The graph is a single time step, so that a sequence is a loop over it.

    Raises
    ------
    MissingPackageError
        onnx or onnxruntime is not installed.
    InputError
        onnxruntime does not run the model at all, such as one with ``layout=1``.
    """

    def __init__(self, path: Path, imported: ImportedModel) -> None:
        try:
            import onnx
            import onnxruntime

            from edgernn.importers.onnx.graph.fixed_inputs import fix_inputs
            from edgernn.importers.onnx.graph.text_outputs import without_text_outputs
        except ImportError as error:
            raise MissingPackageError(f"{error}; to check a model: pip install 'edgernn[check]'") from error
        self.program, self.pairs, self._layouts = imported.program, imported.pairs, imported.layouts
        model, _, _ = without_text_outputs(fix_inputs(onnx.load(path), self.program.fixed))
        _cut_down(model.graph)
        self._batch = self._frozen_batch(model)
        example_steps = self._steps_in_outputs(model)
        self.frozen_steps = self._free_time(model)
        timeless = all(self._layouts[port.name].time_axis is None for port in self.program.inputs)
        self.is_one_step = timeless or (self.frozen_steps == 1 and bool(self.pairs))
        self.frozen_steps = self.frozen_steps or example_steps
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.log_severity_level = 4  # errors come as exceptions
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # those of onnxruntime have no other base
            raise InputError(f"{path} cannot be checked, onnxruntime refuses it: {_first_line(error)}") from error
        self._number_types = {
            entry.name: onnx.helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type)
            for entry in model.graph.input
        }
        self.tolerance = _tolerance(model, np.dtype(np.float16) in self._number_types.values())
        self._ranks = {entry.name: len(entry.type.tensor_type.shape.dim) for entry in model.graph.input}
        self.only_length: int | None = None
        if (
            self.frozen_steps is not None
            and not self.is_one_step
            and not self.runs_at(self.frozen_steps + self.output_period)
        ):
            self.only_length = self.frozen_steps

    def run(self, sequences: Mapping[str, Array]) -> dict[str, Array]:
        """What the model makes of sequences, by the graph's names.

        Parameters
        ----------
        sequences : mapping of str to ndarray
            For each input (T, *shape of a frame).

        Returns
        -------
        dict of str to ndarray
            Without batch: an output with results for frames as (steps with a result, *shape of what such a step gives),
            one for the whole sequence as (*shape,), a last state as (*shape of the state,).

        Raises
        ------
        FixedLengthError
            The graph cannot run at this length.
        """
        states = {slot.name: self._initial(slot.name) for slot in self.program.state if slot.name in self.pairs}
        steps = len(next(iter(sequences.values())))
        if self.only_length not in (None, steps):
            raise FixedLengthError(
                f"the original runs only on {self.only_length} samples, the length that its exporter froze, and not on "
                f"{steps}: check it on sequences or windows of that length"
            )
        if not self.is_one_step:
            return self._run_graph(sequences, states)
        frames: dict[str, list[Array]] = {}
        for t in range(steps):
            results = self._run_graph({name: rows[t : t + 1] for name, rows in sequences.items()}, states)
            states = {name: results[output] for name, output in self.pairs.items()}
            for output in self.program.description.outputs:
                frames.setdefault(output.name, []).append(results[output.name])
        last_states = {self.pairs[name]: state for name, state in states.items()}
        return last_states | {name: np.stack(results) for name, results in frames.items()}

    def with_time_invariant(self, sequences: Mapping[str, Array]) -> dict[str, Array]:
        """The sequences, those of inputs without time the same throughout: as in their first row."""
        return {
            name: rows
            if self.is_one_step or self._layouts[name].time_axis is not None
            else np.broadcast_to(rows[0], rows.shape)
            for name, rows in sequences.items()
        }

    def runs_at(self, steps: int) -> bool:
        """Whether the graph runs at a length of time."""
        try:
            self.run({port.name: np.zeros((steps, *port.shape), np.float32) for port in self.program.inputs})
        except FixedLengthError:
            return False
        return True

    @property
    def output_period(self) -> int:
        """Steps after which all strides have come out even once more: many a graph is defined for such lengths only."""
        if self.program.window is not None:
            return 1
        return lcm(*(operation.when.period for operation in self.program.operations))

    def _run_graph(self, sequences: Mapping[str, Array], states: Mapping[str, Array]) -> dict[str, Array]:
        feeds = {name: self._placed(name, rows) for name, rows in sequences.items()}
        feeds |= {name: self._placed(name, state[np.newaxis]) for name, state in states.items()}
        names = [entry.name for entry in self._session.get_outputs()]
        try:
            results = self._session.run(names, feeds)
        except Exception as error:  # those of onnxruntime have no other base
            steps = len(next(iter(sequences.values())))
            raise FixedLengthError(
                f"onnxruntime cannot run this model on {steps} samples: {_first_line(error)}; if it holds the length "
                "of its exporter's example, check it on that many samples"
            ) from error
        taken = {name: self._taken(name, result) for name, result in zip(names, results, strict=True)}
        self._check_frames(taken, len(next(iter(sequences.values()))))
        return taken

    def _check_frames(self, taken: Mapping[str, Array], steps: int) -> None:
        """Refuse what a file of frozen length makes of another length, if it has its number of frames in its nodes."""
        if self.frozen_steps in (None, steps) or self.program.window is not None or self.is_one_step:
            return
        for output in self.program.description.outputs:
            if output.per_frame and len(taken[output.name]) != output.when.frames(steps):
                raise FixedLengthError(f"output {output.name} of the original has another length than {steps} samples")

    def _steps_in_outputs(self, model: onnx.ModelProto) -> int | None:
        """The length that the shape of an output with a result for every frame holds, None where it is free."""
        shapes = {
            entry.name: [max(0, dimension.dim_value) for dimension in entry.type.tensor_type.shape.dim]
            for entry in model.graph.output
        }
        for output in self.program.description.outputs:
            frame = prod(self.program.values[output.value].shape) * self._batch
            size: int = prod(shapes[output.name])
            is_every_step = output.per_frame and (output.when.period, output.when.extra, output.frames) == (1, 0, 1)
            if is_every_step and size % frame == 0 and size > frame:
                return size // frame
        return None

    def _frozen_batch(self, model: onnx.ModelProto) -> int:
        """Elements in a batch: as many as the file demands, else one."""
        batch = 1
        for entry in model.graph.input:
            layout = self._layouts.get(entry.name)
            if layout is not None and layout.batch_axis is not None:
                batch = max(batch, entry.type.tensor_type.shape.dim[layout.batch_axis].dim_value)
        return batch

    def _free_time(self, model: onnx.ModelProto) -> int | None:
        """Let the graph run at any length, as far as its nodes can; returns the length that was frozen."""
        frozen = None
        has_lengths = any(
            node.op_type in RECURRENT and len(node.input) > SEQUENCE_LENS and node.input[SEQUENCE_LENS]
            for node in model.graph.node
        )
        del model.graph.value_info[:]
        for entry in model.graph.output:
            entry.type.tensor_type.ClearField("shape")
        for entry in model.graph.input:
            layout = self._layouts.get(entry.name)
            if layout is not None and layout.time_axis is not None:
                dimension = entry.type.tensor_type.shape.dim[layout.time_axis]
                frozen = dimension.dim_value if dimension.dim_value > 0 else frozen  # some write -1 for a free one
                if not has_lengths:  # which are those of the frozen length
                    dimension.dim_param = FREE_TIME
        return frozen

    def _initial(self, name: str) -> Array:
        """What a state holds at the beginning."""
        slot = next(slot for slot in self.program.state if slot.name == name)
        return np.zeros(slot.shape, np.float32) if slot.initial is None else self.program.weights[slot.initial]

    def _placed(self, name: str, rows: Array) -> Array:
        """Rows (T, *frame) as the graph has them; a graph without time gets the only one."""
        layout = self._layouts[name]
        if self._ranks[name] == sum(axis is not None for axis in (layout.batch_axis, layout.time_axis)):
            rows = rows.reshape(len(rows))  # frames of one number, for which the graph has no axis
        if layout.time_axis is None:
            return self._with_batch(name, rows[0])
        batch_comes_first = layout.batch_axis is not None and layout.batch_axis < layout.time_axis
        return self._with_batch(name, np.moveaxis(rows, 0, layout.time_axis - batch_comes_first))

    def _with_batch(self, name: str, array: Array) -> Array:
        """The same array for each element of the batch."""
        axis = self._layouts[name].batch_axis
        if axis is not None:
            array = np.repeat(np.expand_dims(array, axis), self._batch, axis)
        return array.astype(self._number_types[name])

    def _taken(self, name: str, result: Array) -> Array:
        """An output of the graph as `run` returns it."""
        one = _one_of_batch(name, result, self._batch)
        for slot in self.program.state:
            if self.pairs.get(slot.name) == name:
                return one.reshape(slot.shape)
        output = next(output for output in self.program.description.outputs if output.name == name)
        shape = self.program.values[output.value].shape  # of one frame
        if one.size % prod(shape) or (not output.per_frame and one.size != prod(shape)):
            raise FixedLengthError(f"output {name} of the original takes another shape at this length of time")
        if self.is_one_step or not output.per_frame:
            return one.reshape(shape)
        frames = one.size // prod(shape)
        in_place = one.reshape(*shape[: output.time_axis], frames, *shape[output.time_axis :])
        return np.moveaxis(in_place, output.time_axis, 0)


def _cut_down(graph: onnx.GraphProto) -> None:
    """Leave only what the outputs need, so that inputs that nobody uses need no values."""
    needed = {entry.name for entry in graph.output}
    for place in reversed(range(len(graph.node))):  # a node comes after those that it reads
        if needed.isdisjoint(graph.node[place].output):
            del graph.node[place]
        else:
            needed.update(_read(graph.node[place]))
    for place in reversed(range(len(graph.input))):
        if graph.input[place].name not in needed:
            del graph.input[place]


def _read(node: onnx.NodeProto) -> Iterator[str]:
    """Names that a node reads, those that its bodies take from outside among them."""
    yield from node.input
    for attribute in node.attribute:
        for body in (attribute.g, *attribute.graphs):
            for inner in body.node:
                yield from _read(inner)
            yield from (entry.name for entry in body.output)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


def _one_of_batch(name: str, result: Array, batch: int) -> Array:
    """One element of the batch. All were fed the same, so the batch axis is the one along which all is equal."""
    if batch == 1:
        return result
    for axis in range(result.ndim):
        one: Array = result.take(0, axis)
        if result.shape[axis] == batch and np.allclose(result, np.expand_dims(one, axis), atol=1e-6):
            return one
    raise InputError(
        f"output {name} of the original has shape {result.shape}, in which no axis is the batch of {batch}"
    )


def _tolerance(model: Any, is_float16: bool) -> float:
    """The largest difference that is none; a quantized model rounds signals to 8 bits, its float meaning does not."""
    integers = ("QuantizeLinear", "DynamicQuantize", "QLinear", "QGemm", "MatMulInteger", "ConvInteger")
    if any(node.op_type.startswith(integers) for node in model.graph.node):
        return 2e-2
    return 5e-3 if is_float16 else 1e-5
