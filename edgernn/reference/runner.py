"""ReferenceRunner: runs a Program in plain NumPy, one operation after the other. All back ends are compared with it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from edgernn.errors import InputError
from edgernn.program.description import OutputDescription, StateSlot
from edgernn.program.operations import (
    AnyOperation,
    DelayLine,
    PutFrame,
    Repeat,
    TakeFrame,
)
from edgernn.program.program import Program
from edgernn.reference.arguments import Arguments
from edgernn.reference.operations import REFERENCES

Array = NDArray[Any]
Frame = Array | dict[str, Array | None] | None
Observer = Callable[[AnyOperation, str, Array], None]
Preparer = Callable[[AnyOperation, list[Array], dict[str, Array]], None]


@dataclass
class Copy:
    """One copy of the state.

    Attributes
    ----------
    slots : dict of str to ndarray
    clock : int
        The step that comes next, or runs.
    end : int or None
        Steps of the sequence, once it has ended.
    frames : dict of str to list of ndarray
        Of the per-frame outputs of a window, those that have come.
    """

    slots: dict[str, Array]
    clock: int = 0
    end: int | None = None
    frames: dict[str, list[Array]] = field(default_factory=dict)


class ReferenceRunner:
    """Steps a Program in NumPy. Integers, of values and of states, are int64 arrays.

    Parameters
    ----------
    program : Program
    dtype : dtype-like
        Number type of every float value; float64 gives the truth that float32 back ends are measured against.
    observe : callable, optional
        Called as ``observe(operation, value_name, array)`` after each operation has written a value.
    prepare : callable, optional
        Called as ``prepare(operation, inputs, state_slots)`` before each operation that computes.

    Examples
    --------
    >>> from edgernn.program.operations import Dense
    >>> from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription
    >>> from edgernn.program.program import Program
    >>> description = ProgramDescription(
    ...     inputs=(InputDescription("x", (2,)),),
    ...     outputs=(OutputDescription("y", "y", per_frame=True),),
    ...     operations=(Dense(name="sum", inputs=("x",), outputs=("y",), W="W"),),
    ... )
    >>> ReferenceRunner(Program(description, {"W": np.ones((1, 2), np.float32)})).step([1.0, 2.0])
    array([3.])
    """

    def __init__(
        self,
        program: Program,
        dtype: DTypeLike = np.float64,
        observe: Observer | None = None,
        prepare: Preparer | None = None,
    ) -> None:
        self.program = program
        self.dtype = np.dtype(dtype)
        self._observe = observe
        self._prepare = prepare
        self._weights = {
            name: array.astype(self.dtype if array.dtype.kind == "f" else np.int64)
            for name, array in program.weights.items()
        }
        self._arguments = Arguments(program, self._weights)
        self._raw = False  # whether inputs are sensor counts and outputs stay integers
        self.reset()

    def reset(self) -> None:
        """Back to the initial state, before the first step."""
        self._copy = Copy(self._initial_state())
        self._windows: list[Copy] = []
        self._iterations: dict[str, int] = {}

    @property
    def state(self) -> dict[str, Array]:
        """State slots by name."""
        return self._copy.slots

    def _initial_state(self) -> dict[str, Array]:
        return {slot.name: self._initial_slot(slot) for slot in self.program.state}

    def _initial_slot(self, slot: StateSlot) -> Array:
        if slot.initial is not None:
            return self._weights[slot.initial].copy()
        if slot.dtype == "float64":
            return np.zeros(slot.shape)
        return np.zeros(slot.shape, self.dtype if slot.dtype == "float32" else np.int64)

    def step(self, x: ArrayLike | Mapping[str, ArrayLike]) -> Frame:
        """One time step; the outputs as `edgernn.Runner.step` shapes them, None where there are none."""
        self._raw = False
        return self._step(x, self.dtype)

    def step_raw(self, counts: ArrayLike | Mapping[str, ArrayLike]) -> Frame:
        """One time step of an int8 program, from the sensor's integer counts to the outputs' integers.

        Raises
        ------
        InputError
            The program has an operation in float, or does not know what a count of the sensor is.
        """
        if not self.program.takes_counts:
            raise InputError("the program cannot run on sensor counts: quantize it whole, with count_size")
        self._raw = True
        return self._step(counts, np.int64)

    def _step(self, x: ArrayLike | Mapping[str, ArrayLike], dtype: DTypeLike) -> Frame:
        inputs = x if isinstance(x, Mapping) else {self.program.inputs[0].name: x}
        values = {
            port.name: np.asarray(inputs[port.name], dtype if port.dtype == "float32" else np.int64).reshape(port.shape)
            for port in self.program.inputs
        }
        if self.program.staggered is not None:
            return self._step_windows(values)
        outputs = self._run_step(self._copy, values)
        if self.program.runs_tail_in_each_step:
            prefix = copy.deepcopy(self._copy)
            prefix.end = prefix.clock
            for _ in range(self.program.tail_steps):
                written = self._run_step(prefix, self._no_input())
            outputs |= {name: written[name] for name in self._outputs_at_end if name in written}
        return self._pack(outputs)

    @property
    def _outputs_at_end(self) -> list[str]:
        return [output.name for output in self.program.description.outputs if output.when.at_end]

    def _no_input(self) -> dict[str, Array]:
        """In the tail there is no input, so whoever reads it is wrong."""
        return {port.name: np.full(port.shape, np.nan) for port in self.program.inputs}

    def _run_step(self, state: Copy, values: dict[str, Array]) -> dict[str, Array]:
        """One step of a copy of the state, and the outputs that come in it."""
        tail_steps = self.program.tail_steps
        self._run_operations(values, state, self.program.description.operations)
        outputs = {
            output.name: values[output.value].copy()
            for output in self.program.description.outputs
            if output.when.happens(state.clock, state.end, tail_steps) and output.value in values
        }
        state.clock += 1
        return outputs

    def _step_windows(self, values: dict[str, Array]) -> Frame:
        window = self.program.staggered
        assert window is not None
        if self._copy.clock % window.hop == 0:
            frames: dict[str, list[Array]] = {output.name: [] for output in self.program.description.outputs}
            self._windows.append(Copy(self._initial_state(), frames=frames))
        self._copy.clock += 1
        for state in self._windows:
            self._collect(state, dict(values))
        if not self._windows or self._windows[0].clock < window.steps:
            return None
        due = self._windows.pop(0)
        due.end = window.steps
        for _ in range(self.program.tail_steps):
            self._collect(due, self._no_input())
        return self._pack(
            {output.name: _window_frame(output, due.frames[output.name]) for output in self.program.description.outputs}
        )

    def _collect(self, state: Copy, values: dict[str, Array]) -> None:
        for name, frame in self._run_step(state, values).items():
            state.frames[name].append(frame)

    def _pack(self, outputs: dict[str, Array]) -> Frame:
        names = [port.name for port in self.program.outputs]
        if len(names) == 1:
            return outputs.get(names[0])
        return {name: outputs.get(name) for name in names} if outputs else None

    def flush(self) -> dict[str, list[Array]]:
        """The frames that are still to come at the end of the stream, by output."""
        self._copy.end = self._copy.clock
        frames: dict[str, list[Array]] = {port.name: [] for port in self.program.outputs}
        if self.program.staggered is None:
            for _ in range(self.program.tail_steps):
                for name, frame in self._run_step(self._copy, self._no_input()).items():
                    if name not in self._outputs_at_end or self.program.description.tail == "flush":
                        frames[name].append(frame)
        return frames

    def run(self, X: ArrayLike | Mapping[str, ArrayLike]) -> Any:
        """All time steps of X (T, n_in), or of a dict of such; outputs stacked, None left out."""
        if isinstance(X, Mapping):
            columns = {name: np.asarray(column) for name, column in X.items()}
            rows: Any = [
                {name: column[t] for name, column in columns.items()} for t in range(len(next(iter(columns.values()))))
            ]
        else:
            rows = np.asarray(X)
        frames: dict[str, list[Array]] = {port.name: [] for port in self.program.outputs}
        for row in rows:
            frame = self.step(row)
            for name, output in (frame if isinstance(frame, dict) else {self.program.outputs[0].name: frame}).items():
                if output is not None:
                    frames[name].append(output)
        stacked = {port.name: _stacked(frames[port.name], port.shape) for port in self.program.outputs}
        return stacked if len(stacked) > 1 else next(iter(stacked.values()))

    def _run_operations(self, values: dict[str, Array], state: Copy, operations: Sequence[AnyOperation]) -> None:
        """Run operations in order, each where its schedule says so; their results go to `values`."""
        for operation in operations:
            happens = operation.when.happens(state.clock, state.end, self.program.tail_steps)
            if isinstance(operation, Repeat):
                for round_ in range(operation.count if happens else 0):
                    self._iterations[operation.name] = round_
                    self._run_operations(values, state, operation.body)
            elif isinstance(operation, DelayLine):
                self._remember(operation, values, state)
            elif happens:
                inputs = [values[name] for name in operation.inputs]
                if self._prepare is not None:
                    self._prepare(operation, inputs, state.slots)
                results = self._run(operation, inputs, state.slots, values)
                self._write(operation, results, values)

    def _write(self, operation: AnyOperation, results: tuple[Array, ...], values: dict[str, Array]) -> None:
        for name, result in zip(operation.outputs, results, strict=True):
            values[name] = result
            if self._observe is not None:
                self._observe(operation, name, result)

    def _remember(self, operation: DelayLine, values: dict[str, Array], state: Copy) -> None:
        """Write a frame into the ring, or padding behind the end, and read the taps."""
        index = operation.when.frame(state.clock)
        if index is None:
            return
        ended = state.end is not None and index >= operation.when.frames(state.end)
        name = operation.inputs[0]
        frame = np.full(self.program.values[name].shape, operation.fill) if ended else values[name]
        taps = self._arguments.call(REFERENCES[DelayLine], operation, [frame], state.slots)
        if operation.read.happens(state.clock, state.end, self.program.tail_steps):
            self._write(operation, taps, values)

    def _run(
        self, operation: AnyOperation, inputs: list[Array], state: dict[str, Array], values: dict[str, Array]
    ) -> tuple[Array, ...]:
        """The outputs of an operation."""
        added: dict[str, Any] = {"raw": self._raw, "float_dtype": self.dtype}
        if isinstance(operation, TakeFrame | PutFrame):
            added["iteration"] = self._iterations[operation.loop]
            added["collected"] = values.get(operation.outputs[0])
        return self._arguments.call(REFERENCES[type(operation)], operation, inputs, state, **added)


def _stacked(frames: list[Array], shape: tuple[int, ...]) -> Array:
    return np.array(frames).reshape(len(frames), *shape)


def _window_frame(output: OutputDescription, frames: list[Array]) -> Array:
    if not output.per_frame:
        return frames[-1]
    join = np.stack if output.frames == 1 else np.concatenate
    return join(frames, axis=output.time_axis)
