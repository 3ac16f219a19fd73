"""ReferenceRunner: runs a Program in plain NumPy, one operation after the other. All back ends are compared with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from edgernn.errors import InputError
from edgernn.kernels import reference_float32 as float32
from edgernn.operations import (
    AnyOperation,
    Binary,
    Dense,
    Gru,
    Lstm,
    ReadState,
    Rearrange,
    RecurrentOperation,
    Rnn,
    Softmax,
    Unary,
    WriteState,
)
from edgernn.program import OutputDescription, Program, StateSlot
from edgernn.reference_int8 import IntegerOperations, region

Array = NDArray[Any]
Frame = Array | dict[str, Array | None] | None
Observer = Callable[[AnyOperation, str, Array], None]


class ReferenceRunner:
    """Steps a Program in NumPy. Integers, of values and of states, are int64 arrays.

    Parameters
    ----------
    program : Program
    dtype : dtype-like
        Number type of every float value; float64 gives the truth that float32 back ends are measured against.
    observe : callable, optional
        Called as ``observe(operation, value_name, array)`` after each operation has written a value.

    Examples
    --------
    >>> from edgernn.operations import Dense
    >>> from edgernn.program import InputDescription, OutputDescription, Program, ProgramDescription
    >>> description = ProgramDescription(
    ...     inputs=(InputDescription("x", (2,)),),
    ...     outputs=(OutputDescription("y", "y", per_frame=True),),
    ...     operations=(Dense(name="sum", inputs=("x",), outputs=("y",), W="W"),),
    ... )
    >>> ReferenceRunner(Program(description, {"W": np.ones((1, 2), np.float32)})).step([1.0, 2.0])
    array([3.])
    """

    def __init__(self, program: Program, dtype: DTypeLike = np.float64, observe: Observer | None = None) -> None:
        self.program = program
        self.dtype = np.dtype(dtype)
        self._observe = observe
        self._weights = {
            name: array.astype(self.dtype if array.dtype.kind == "f" else np.int64)
            for name, array in program.weights.items()
        }
        self._integer = IntegerOperations(program, self._weights)
        self.reset()

    def reset(self) -> None:
        """Back to the initial state, before the first step."""
        self.state = self._initial_state()
        self._steps = 0
        self._windows: list[tuple[dict[str, Array], dict[str, list[Array]]]] = []

    def _initial_state(self) -> dict[str, Array]:
        return {slot.name: self._initial_slot(slot) for slot in self.program.state}

    def _initial_slot(self, slot: StateSlot) -> Array:
        if slot.initial is not None:
            return self._weights[slot.initial].copy()
        return np.zeros(slot.shape, self.dtype if slot.dtype == "float32" else np.int64)

    def step(self, x: ArrayLike | Mapping[str, ArrayLike]) -> Frame:
        """One time step; the outputs as `edgernn.Runner.step` shapes them, None where there are none."""
        self._integer.raw = False
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
        self._integer.raw = True
        return self._step(counts, np.int64)

    def _step(self, x: ArrayLike | Mapping[str, ArrayLike], dtype: DTypeLike) -> Frame:
        inputs = x if isinstance(x, Mapping) else {self.program.inputs[0].name: x}
        values = {port.name: np.asarray(inputs[port.name], dtype).reshape(port.shape) for port in self.program.inputs}
        window = self.program.window
        if window is None:
            written = self._run_operations(values, self.state)
            return self._pack({output.name: written[output.value] for output in self.program.description.outputs})
        if self._steps % window.hop == 0:
            self._windows.append((self._initial_state(), {port.name: [] for port in self.program.outputs}))
        self._steps += 1
        for state, frames in self._windows:
            written = self._run_operations(dict(values), state)
            for output in self.program.description.outputs:
                frames[output.name].append(written[output.value])
        return self._finished_window(window.steps)

    def _finished_window(self, steps: int) -> Frame:
        if not self._windows or len(next(iter(self._windows[0][1].values()))) < steps:
            return None
        _, frames = self._windows.pop(0)
        return self._pack({output.name: _window_frame(output, frames) for output in self.program.description.outputs})

    def _pack(self, outputs: dict[str, Array]) -> Frame:
        if len(outputs) == 1:
            return next(iter(outputs.values()))
        return dict(outputs)

    def run(self, X: ArrayLike | Mapping[str, ArrayLike]) -> Any:
        """All time steps of X (T, n_in), or of a dict of such; outputs stacked, None left out."""
        if isinstance(X, Mapping):
            columns = {name: np.asarray(column) for name, column in X.items()}
            rows: Any = [
                {name: column[t] for name, column in columns.items()} for t in range(len(next(iter(columns.values()))))
            ]
        else:
            rows = np.asarray(X)
        results = [frame for frame in (self.step(row) for row in rows) if frame is not None]
        names = [port.name for port in self.program.outputs]
        if len(names) == 1:
            return np.array(results).reshape(len(results), *self.program.outputs[0].shape)
        return {
            port.name: np.array([frame[port.name] for frame in results if isinstance(frame, dict)]).reshape(
                len(results), *port.shape
            )
            for port in self.program.outputs
        }

    def _run_operations(self, values: dict[str, Array], state: dict[str, Array]) -> dict[str, Array]:
        for operation in self.program.operations:
            results = self._run(operation, [values[name] for name in operation.inputs], state)
            for name, result in zip(operation.outputs, results, strict=True):
                values[name] = result
                if self._observe is not None:
                    self._observe(operation, name, result)
        return values

    def _optional(self, name: str | None) -> Array | None:
        return None if name is None else self._weights[name]

    def _run(self, operation: AnyOperation, inputs: list[Array], state: dict[str, Array]) -> tuple[Array, ...]:
        match operation:
            case Dense():
                return (float32.dense(inputs[0], self._weights[operation.W], self._optional(operation.B)),)
            case Rnn() | Gru() | Lstm():
                return (self._run_cell(operation, inputs[0], state),)
            case Unary():
                return (float32.unary(inputs[0], operation.function, operation.alpha, operation.beta),)
            case Binary():
                operands = list(inputs)
                if operation.constant is not None:
                    operands.insert(0 if operation.constant_side == "left" else 1, self._weights[operation.constant])
                return (float32.BINARY[operation.function](operands[0], operands[1]),)
            case Softmax():
                return (float32.softmax(inputs[0], operation.logarithm),)
            case Rearrange():
                joined = np.concatenate([value.ravel() for value in inputs])
                indices = self._optional(operation.indices)
                return ((joined if indices is None else joined[indices]).reshape(operation.shape),)
            case ReadState():
                content = region(state, operation.region, int(np.prod(operation.shape)))
                high = content >> 16 if operation.dtype == "int32" else content.copy()
                return (high.reshape(operation.shape),)
            case WriteState():
                region(state, operation.region, operation.size)[...] = inputs[0].ravel()
                return ()
            case _:
                return (self._integer.run(operation, inputs, state),)

    def _run_cell(self, operation: RecurrentOperation, x: Array, state: dict[str, Array]) -> Array:
        W, R, B = self._weights[operation.W], self._weights[operation.R], self._optional(operation.B)
        h = region(state, operation.h, R.shape[1])
        activations = [(gate.function, gate.alpha, gate.beta) for gate in operation.activations]
        match operation:
            case Gru():
                h[...] = float32.gru(x, h, W, R, B, activations, operation.linear_before_reset, operation.clip)
            case Lstm():
                c = region(state, operation.c, R.shape[1])
                P = self._optional(operation.P)
                h[...], c[...] = float32.lstm(x, h, c, W, R, B, P, activations, operation.clip, operation.input_forget)
            case _:
                h[...] = float32.rnn(x, h, W, R, B, activations, operation.clip)
        return h.copy()


def _window_frame(output: OutputDescription, frames: dict[str, list[Array]]) -> Array:
    collected = frames[output.name]
    return np.stack(collected, axis=output.time_axis) if output.per_frame else collected[-1]
