"""The model as it was exported, in onnxruntime, on whole sequences: what streaming is compared with.

The graph runs as it is written: without onnxruntime's optimisations, and without the shapes that exporters note beside
the graph (``value_info``), which are stale where the length of time is not the exporter's.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import InputError, MissingPackageError

if TYPE_CHECKING:
    import onnx

    from edgernn.importers.onnx.importer import ImportedModel

Array = NDArray[Any]
FREE_TIME = "edgernn_time"  # name of the time axis where a frozen length was lifted


class RigidLengthError(InputError):
    """The original does not run at this length of time."""


class Original:
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
        The length of time in the file, None where it is free.
    is_one_step : bool
        The graph is a single time step, so that a sequence is a loop over it.

    Raises
    ------
    MissingPackageError
        onnx or onnxruntime is not installed.
    """

    def __init__(self, path: Path, imported: ImportedModel) -> None:
        try:
            import onnx
            import onnxruntime
        except ImportError as error:
            raise MissingPackageError(f"{error}; to check a model: pip install 'edgernn[check]'") from error
        self.program, self.pairs, self._layouts = imported.program, imported.pairs, imported.layouts
        model = onnx.load(path)
        self._batch = self._frozen_batch(model)
        self.frozen_steps = self._free_time(model)
        timeless = all(self._layouts[port.name].time_axis is None for port in self.program.inputs)
        self.is_one_step = timeless or (self.frozen_steps == 1 and bool(self.pairs))
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.log_severity_level = 4  # errors come as exceptions
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._number_types = {
            entry.name: onnx.helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type)
            for entry in model.graph.input
        }

    def run(self, sequences: Mapping[str, Array]) -> dict[str, Array]:
        """What the model makes of sequences, by the graph's names.

        Parameters
        ----------
        sequences : mapping of str to ndarray
            For each input (T, *shape of a frame).

        Returns
        -------
        dict of str to ndarray
            Without batch: an output with a result for every frame as (T, *shape of a frame), one for the whole
            sequence as (*shape,), a last state as (*shape of the state,).

        Raises
        ------
        RigidLengthError
            The graph cannot run at this length.
        """
        states = {slot.name: self._initial(slot.name) for slot in self.program.state if slot.name in self.pairs}
        if not self.is_one_step:
            return self._run_graph(sequences, states)
        frames: dict[str, list[Array]] = {}
        for t in range(len(next(iter(sequences.values())))):
            results = self._run_graph({name: rows[t : t + 1] for name, rows in sequences.items()}, states)
            states = {name: results.pop(output) for name, output in self.pairs.items()}
            for name, result in results.items():
                frames.setdefault(name, []).append(result)
        last_states = {self.pairs[name]: state for name, state in states.items()}
        return {name: np.stack(results) for name, results in frames.items()} | last_states

    def _run_graph(self, sequences: Mapping[str, Array], states: Mapping[str, Array]) -> dict[str, Array]:
        feeds = {name: self._placed(name, rows) for name, rows in sequences.items()}
        feeds |= {name: self._placed(name, state[np.newaxis]) for name, state in states.items()}
        names = [entry.name for entry in self._session.get_outputs()]
        try:
            results = self._session.run(names, feeds)
        except Exception as error:  # those of onnxruntime have no other base
            steps, reason = len(next(iter(sequences.values()))), str(error).partition("\n")[0][:200]
            frozen = f"; its length is frozen at {self.frozen_steps}" if self.frozen_steps else ""
            raise RigidLengthError(f"onnxruntime cannot run this model on {steps} samples{frozen}: {reason}") from error
        return {name: self._taken(name, result) for name, result in zip(names, results, strict=True)}

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
        del model.graph.value_info[:]
        for entry in model.graph.output:
            entry.type.tensor_type.ClearField("shape")
        for entry in model.graph.input:
            layout = self._layouts.get(entry.name)
            if layout is not None and layout.time_axis is not None:
                dimension = entry.type.tensor_type.shape.dim[layout.time_axis]
                frozen = dimension.dim_value or frozen
                dimension.dim_param = FREE_TIME
        return frozen

    def _initial(self, name: str) -> Array:
        """What a state holds at the beginning."""
        slot = next(slot for slot in self.program.state if slot.name == name)
        return np.zeros(slot.shape, np.float32) if slot.initial is None else self.program.weights[slot.initial]

    def _placed(self, name: str, rows: Array) -> Array:
        """Rows (T, *frame) as the graph has them; a graph without time gets the only one."""
        layout = self._layouts[name]
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
        if self.is_one_step or not output.per_frame:
            return one.reshape(shape)
        frames = one.size // prod(shape)
        in_place = one.reshape(*shape[: output.time_axis], frames, *shape[output.time_axis :])
        return np.moveaxis(in_place, output.time_axis, 0)


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
