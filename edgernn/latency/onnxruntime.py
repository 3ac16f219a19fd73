"""onnxruntime on the same model, in the fastest way that its Python interface allows, as a benchmark target."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import InputError, MissingPackageError
from edgernn.latency.targets import StepTarget, random_frames, step_samples
from edgernn.program.operations import DelayLine

if TYPE_CHECKING:
    from edgernn.importers.onnx.translation import ImportedModel
    from edgernn.program.program import Program

Array = NDArray[Any]


# one step on zeros, with every free extent 1; the model comes through standard input
PROBE = """
import sys
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.log_severity_level = 4
session = onnxruntime.InferenceSession(sys.stdin.buffer.read(), options, providers=["CPUExecutionProvider"])
kinds = {"float": "float32", "double": "float64"}
def zeros(port):
    kind = port.type[7:-1]
    return numpy.zeros([n if isinstance(n, int) else 1 for n in port.shape], kinds.get(kind, kind))
session.run(None, {port.name: zeros(port) for port in session.get_inputs()})
"""


def crash_of(path: Path) -> str | None:
    """The signal with which onnxruntime ends a process that runs a model, such as "SIGSEGV"; None if it does not.

    Examples
    --------
    >>> from edgernn.demo import MODEL
    >>> crash_of(MODEL) is None
    True
    """
    done = subprocess.run([sys.executable, "-c", PROBE], input=path.read_bytes(), capture_output=True, check=False)
    return signal.Signals(-done.returncode).name if done.returncode < 0 else None


def onnxruntime_step(path: Path, imported: ImportedModel) -> StepTarget:
    """An ONNX model in onnxruntime: one thread, all optimisations, IOBinding on buffers made beforehand.

    A model whose states are inputs and outputs is stepped as edgernn does it. One that hides its states cannot go on
    where it was: it computes the last `window_steps` or `trained_steps` samples, else as many as an output is made of,
    again for each output.

    Raises
    ------
    MissingPackageError
        onnxruntime is not installed.
    InputError
        The model cannot be computed sample by sample: it hides states that never forget, and names no length.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPackageError(f"{error}; to compare: pip install 'edgernn[check]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    for threads in ("intra", "inter"):
        options.add_session_config_entry(f"session.{threads}_op.allow_spinning", "0")
    from edgernn.importers.onnx.graph.fixed_inputs import fix_inputs
    from edgernn.importers.onnx.graph.graph import read_model
    from edgernn.importers.onnx.graph.text_outputs import without_text_outputs

    read = read_model(path)
    prepared, _, _ = without_text_outputs(fix_inputs(read, imported.program.fixed))
    changed = bool(imported.program.fixed) or prepared is not read
    model: str | bytes = prepared.SerializeToString() if changed else str(path)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    program = imported.program
    length = _length(session, imported)
    name = "onnxruntime" if length == 1 else f"onnxruntime, {length} samples each time"
    bound = BoundSession(session, imported, length)
    frames = {name: rows.reshape(len(rows), -1) for name, rows in random_frames(program).items()}
    return StepTarget(name, bound.step_only if len(frames) == 1 else bound.step, step_samples(frames))


def _length(session: Any, imported: ImportedModel) -> int:
    """Samples that the graph must see at once."""
    program = imported.program
    axes = {name: layout.time_axis for name, layout in imported.layouts.items()}
    extents = [port.shape[axis] for port in session.get_inputs() if (axis := axes.get(port.name)) is not None]
    frozen = next((extent for extent in extents if isinstance(extent, int)), None)
    carried = len(imported.pairs) == len(program.state)
    if not extents or (carried and frozen in {None, 1} and program.window is None):
        return 1
    length = frozen or program.window_steps or program.trained_steps or receptive_steps(program)
    if length is None:
        raise InputError(
            "the model hides its states, so onnxruntime needs a whole sequence for each sample: say with --window how "
            "many samples that are"
        )
    return length


def receptive_steps(program: Program) -> int | None:
    """Samples that an output is made of; None where a state keeps something of all samples so far.

    Examples
    --------
    >>> from edgernn.program.operations import Unary
    >>> from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription
    >>> from edgernn.program.program import Program
    >>> tanh = Unary(name="tanh", inputs=("x",), outputs=("y",), function="Tanh")
    >>> inputs, outputs = (InputDescription("x", (2,)),), (OutputDescription("y", "y", per_frame=True),)
    >>> receptive_steps(Program(ProgramDescription(inputs=inputs, outputs=outputs, operations=(tanh,)), {}))
    1
    """
    reach = {port.name: 1 for port in program.inputs}
    for operation in program.operations:
        steps = max((reach[name] for name in operation.inputs), default=1)
        if isinstance(operation, DelayLine):
            steps += (operation.length - 1) * operation.when.period
        elif operation.state_fields:
            return None
        reach |= dict.fromkeys(operation.outputs, steps)
    return max(reach[output.value] for output in program.description.outputs)


class BoundSession:
    """A session whose inputs and outputs lie in buffers; states go back and forth between two."""

    def __init__(self, session: Any, imported: ImportedModel, length: int) -> None:
        import onnxruntime

        self._buffers = {port.name: _buffer(port, imported, length) for port in session.get_inputs()}
        results = session.run(None, self._buffers)
        outputs = [port.name for port in session.get_outputs()]
        self._outputs = {name: np.ascontiguousarray(result) for name, result in zip(outputs, results, strict=True)}
        self._rows = {
            port.name: _rows(self._buffers[port.name], imported.layouts[port.name].time_axis)
            for port in imported.program.inputs
        }
        states = {name: output for name, output in imported.pairs.items() if name in self._buffers}
        there, back = self._bind(session, {}), self._bind(session, states)
        self._keep = (session, there, back)
        window, schedules = imported.program.window, [output.when for output in imported.program.description.outputs]
        self._hop = window.hop if window else min(when.period for when in schedules)
        self._steps_left = window.hop if window else min(when.first for when in schedules) + 1
        self._run, self._options = session._sess.run_with_iobinding, onnxruntime.RunOptions()
        self._now, self._after = there._iobinding, back._iobinding

    def _bind(self, session: Any, swapped: Mapping[str, str]) -> Any:
        """All buffers bound; those of `swapped` state inputs and their outputs the other way round."""
        binding = session.io_binding()
        inputs, outputs = dict(self._buffers), dict(self._outputs)
        for name, output in swapped.items():
            inputs[name], outputs[output] = outputs[output], inputs[name]
        for name, array in inputs.items():
            binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        for name, array in outputs.items():
            binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        return binding

    def step(self, x: Mapping[str, Array]) -> dict[str, Array]:
        """One time step with a vector for each input; the outputs are overwritten by the next."""
        for name, rows in self._rows.items():
            rows[:-1] = rows[1:]
            rows[-1] = x[name]
        return self._compute()

    def step_only(self, x: Array) -> dict[str, Array]:
        """One time step of a model with one input."""
        for rows in self._rows.values():
            if len(rows) > 1:
                rows[:-1] = rows[1:]
            rows[-1] = x
        return self._compute()

    def _compute(self) -> dict[str, Array]:
        """Run the graph in steps that have outputs."""
        self._steps_left -= 1
        if not self._steps_left:
            self._steps_left = self._hop
            self._run(self._now, self._options)
            self._now, self._after = self._after, self._now
        return self._outputs


def _buffer(port: Any, imported: ImportedModel, length: int) -> Array:
    """Zeros for an input of the graph: a batch of one, `length` samples."""
    import onnx

    time_axis = imported.layouts[port.name].time_axis
    kind = onnx.helper.tensor_dtype_to_np_dtype(getattr(onnx.TensorProto, port.type[7:-1].upper(), 1))
    shape = [extent if isinstance(extent, int) else 1 for extent in port.shape]
    if time_axis is not None:
        shape[time_axis] = length
    for slot in imported.program.state:
        if slot.name == port.name and slot.initial is not None:
            return np.ascontiguousarray(imported.program.weights[slot.initial].reshape(shape), kind)
    return np.zeros(shape, kind)


def _rows(buffer: Array, time_axis: int | None) -> Array:
    """The samples of an input's buffer, (T, features), as a view."""
    if time_axis is None or buffer.shape[time_axis] == 1:
        return buffer.reshape(1, -1)
    others = [axis for axis in range(buffer.ndim) if axis != time_axis]
    moved = buffer.transpose(time_axis, *others)
    if all(buffer.shape[axis] == 1 for axis in range(time_axis)):
        return moved.reshape(len(moved), -1)
    moved = moved.squeeze(tuple(axis for axis in range(1, buffer.ndim) if moved.shape[axis] == 1))
    if moved.ndim != 2:
        raise InputError("several axes of features stand around time in this model: it is not compared")
    return moved
