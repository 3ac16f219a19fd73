"""Runner: owns the state of one stream, and steps a Program in compiled code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import InputError
from edgernn.program.description import OutputDescription
from edgernn.program.program import Program
from edgernn.runtime import input_conversion
from edgernn.runtime.memory import Frame, RunnerMemory
from edgernn.runtime.state_view import StateView

Array: TypeAlias = NDArray[Any]
Frames: TypeAlias = Array | dict[str, Array]  # of many steps

STEP_DOC = """One time step.

Parameters
----------
x : array-like, or a dict of them by input name where there are several inputs
    Anything shaped like one frame, or like a vector of as many numbers: ndarray of any numeric type, list or tuple.

Returns
-------
ndarray, a dict of them by output name where there are several outputs, or None
    The outputs. They belong to the runner and are overwritten by the next step: copy to keep. None where the step has
    nothing to say (inside a window, warming up, between the frames of a strided layer); a dict always has all names,
    with None for an output that has nothing to say. A model that gives several frames in a step returns them along the
    output's time axis.

Raises
------
InputError
    x has another shape, holds no numbers, or an id that is in no table of the model; no state was touched.
NonFiniteInputError
    x holds NaN or infinity; no state was touched.
RunnerStateError
    After `flush`, before `reset`.
"""
STATE_DOC = """Named states, as views in the model's own units.

Read with ``numpy.asarray(runner.state["h"])``, write with ``runner.state["h"][...] = h``. In windowed mode their first
axis counts the copies that run side by side.
"""


def warm(program: Program) -> None:
    """Compile and cache all that a program needs, so that its first runner starts at once.

    Raises
    ------
    UnsupportedModelError
        There is no compiled kernel for an operation.
    CompileCacheError
        Another user may write to the folder of compiled kernels.
    """
    RunnerMemory(program)


class Runner:
    """Steps a program, one time step at a time or many. All memory is taken here; a step allocates nothing.

    A Runner belongs to one thread at a time. All runners of a program share its packed weights. Sums and products too
    large for float32 become its largest number, so finite input never makes a NaN: only a function outside its domain
    does, as the logarithm of a negative number.

    Parameters
    ----------
    program : Program

    Raises
    ------
    UnsupportedModelError
        There is no compiled kernel for an operation.
    CompileCacheError
        Another user may write to the folder of compiled kernels.

    Examples
    --------
    >>> from edgernn.program.operations import Dense
    >>> from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription
    >>> description = ProgramDescription(
    ...     inputs=(InputDescription("x", (2,)),),
    ...     outputs=(OutputDescription("y", "y", per_frame=True),),
    ...     operations=(Dense(name="sum", inputs=("x",), outputs=("y",), W="W"),),
    ... )
    >>> runner = Runner(Program(description, {"W": np.ones((1, 2), np.float32)}))
    >>> runner.step([1.0, 2.0])
    array([3.], dtype=float32)
    >>> runner.run([[1.0, 2.0], [3.0, 4.0]])
    array([[3.],
           [7.]], dtype=float32)
    """

    __slots__ = {"__weakref__": None, "_memory": None, "state": STATE_DOC, "step": STEP_DOC}

    state: Mapping[str, StateView]
    step: Callable[[Any], Frame]

    def __init__(self, program: Program) -> None:
        self._memory = memory = RunnerMemory(program)
        contents = {place.name: place.view(memory.state) for place in memory.plan.slots}
        if program.staggered is None:
            contents = {name: content[0] for name, content in contents.items()}
        self.state = MappingProxyType(
            {slot.name: StateView(slot.name, contents[slot.name], program.state_unit(slot)) for slot in program.state}
        )
        self.step = memory.bound_step()

    def __repr__(self) -> str:
        return f"<edgernn.Runner after {self._memory.steps} steps of {self.program!r}>"

    @property
    def program(self) -> Program:
        """The program that is run."""
        return self._memory.program

    def step_raw(self, counts: Any) -> Frame:
        """One time step of an int8 program, from the sensor's integer counts to integers, without any float between.

        Parameters
        ----------
        counts : array-like of whole numbers, or a dict of them by input name
            One frame of counts, of the size that the program was quantized for (`count_size`).

        Returns
        -------
        ndarray of int32, a dict of them by output name, or None
            What `step` returns, before the last multiplication with a scale.

        Raises
        ------
        InputError
            The program is not all integers or does not know the size of a count; or the counts have another shape or
            are no whole numbers.
        RunnerStateError
            After `flush`, before `reset`.
        """
        return self._memory.step_raw(counts)

    def run(self, X: Any, index: bool = False) -> Any:
        """Many time steps, from the current state on, in compiled code that lets other threads run.

        Parameters
        ----------
        X : array-like (T, ...), or a dict of them by input name
            One frame, or vector of a frame's numbers, for each of T time steps.
        index : bool
            Return the indices of the rows of X whose steps had outputs, too.

        Returns
        -------
        Y : ndarray (T_out, ...), or a dict of them where there are several outputs
            New arrays, bit-identical to what `step` returns, without the steps that return None. Where a step gives
            several frames, they are laid end to end.
        indices : ndarray of int64, (T_out,), or a dict of them where outputs come in different steps
            Only with `index`.

        Raises
        ------
        InputError
            X has another shape, holds no numbers, or an id that is in no table of the model; no state was touched.
        NonFiniteInputError
            X holds NaN or infinity; no state was touched.
        RunnerStateError
            After `flush`, before `reset`.
        """
        memory = self._memory
        columns = input_conversion.columns(X, memory.plan.inputs)
        outputs, indices = self._room_for(len(columns[0]))
        memory.run(columns, outputs, list(indices))
        Y = self._named(outputs)
        return (Y, self._indices(indices)) if index else Y

    def _room_for(self, steps: int) -> tuple[list[Array], list[NDArray[np.int64]]]:
        """Arrays for exactly the outputs of the next `steps` steps, and for the indices of each beat."""
        plan, before = self._memory.plan, self._memory.steps
        frames = [
            plan.frames_within(before + steps, schedule) - plan.frames_within(before, schedule)
            for schedule in range(len(plan.output_schedules))
        ]
        outputs = [
            np.empty((frames[schedule], *place.shape), place.dtype)
            for place, schedule in zip(plan.outputs, plan.output_schedule_indices, strict=True)
        ]
        return outputs, [np.empty(count, np.int64) for count in frames]

    def _named(self, outputs: list[Array]) -> Frames:
        """What is returned of many steps: frames end to end, by output where there are several."""
        described = self.program.description.outputs
        if self._memory.plan.window is None:
            outputs = [_end_to_end(array, output) for array, output in zip(outputs, described, strict=True)]
        if len(outputs) == 1:
            return outputs[0]
        return {output.name: array for array, output in zip(outputs, described, strict=True)}

    def _indices(self, indices: list[NDArray[np.int64]]) -> Frames:
        """The row of X that each row of the outputs belongs to, by output where they differ."""
        plan = self._memory.plan
        named = {
            output.name: np.repeat(indices[schedule], 1 if plan.window else output.frames)
            for output, schedule in zip(self.program.description.outputs, plan.output_schedule_indices, strict=True)
        }
        frames = {output.frames for output in self.program.description.outputs}
        if len(plan.output_schedules) == 1 and (plan.window or len(frames) == 1):
            return next(iter(named.values()))
        return named

    def run_into(self, X: Array, Y: Array, indices: NDArray[np.int64] | None = None) -> int:
        """`run` into arrays that exist, for programs with one input and one output.

        Parameters
        ----------
        X : ndarray (T, ...), C-contiguous, of the input's number type
        Y : ndarray (N, ...), C-contiguous, of the output's number type
            Its first rows are overwritten; it needs one for each step that has outputs, T at most.
        indices : ndarray of int64, (N,), C-contiguous, optional
            Takes the indices of the rows of X whose steps had outputs.

        Returns
        -------
        int
            Rows of Y that were written.

        Raises
        ------
        InputError
            An array does not fit.
        NonFiniteInputError
            X holds NaN or infinity; no state was touched.
        RunnerStateError
            After `flush`, before `reset`.
        """
        plan, before = self._memory.plan, self._memory.steps
        if len(plan.inputs) != 1 or len(plan.outputs) != 1:
            raise InputError("run_into needs a model with one input and one output: use run")
        frames = plan.frames_within(before + len(X)) - plan.frames_within(before)
        for name, array, rows, place in (("X", X, len(X), plan.inputs[0]), ("Y", Y, frames, plan.outputs[0])):
            if not array.ndim or not input_conversion.is_column(array, place) or len(array) < rows:
                raise InputError(
                    f"{name} must be a contiguous aligned {place.dtype} array of at least {(rows, *place.shape)}"
                )
        if not Y.flags.writeable:
            raise InputError("Y is read-only")
        if indices is not None and not (
            indices.dtype == np.int64 and indices.ndim == 1 and indices.flags.c_contiguous and len(indices) >= frames
        ):
            raise InputError(f"indices must be a contiguous int64 array of at least ({frames},)")
        self._memory.run([X], [Y], [indices])
        return frames

    def flush(self) -> Frames:
        """End the stream: all outputs that are still to come, none for a model without look-ahead.

        Afterwards `step` and `run` raise a RunnerStateError until `reset`.

        Returns
        -------
        Y : ndarray (T_out, ...), or a dict of them where there are several outputs
            New arrays, as `run` returns them.

        Raises
        ------
        RunnerStateError
            The stream was ended already.
        """
        plan, steps = self._memory.plan, self._memory.steps
        outputs = [
            np.empty((plan.frames_in_tail(steps, schedule), *place.shape), place.dtype)
            for place, schedule in zip(plan.outputs, plan.output_schedule_indices, strict=True)
        ]
        self._memory.drain(outputs)
        return self._named(outputs)

    def reset(self) -> None:
        """Back to the initial state, before the first step."""
        self._memory.reset()

    def snapshot(self) -> bytes:
        """The whole state, also in the middle of a window; little-endian, tied to the program by its hash."""
        return self._memory.snapshot()

    def restore(self, blob: bytes) -> None:
        """Go on where `snapshot` was taken, bit for bit.

        Raises
        ------
        ProgramFileError
            The snapshot is damaged, too new, or of another program.
        """
        self._memory.restore(blob)

    def state_is_finite(self) -> bool:
        """Whether no state is NaN, infinite or, as diverging ones end, the largest float32: else it needs a `reset`."""
        return self._memory.state_is_finite()


def _end_to_end(array: Array, output: OutputDescription) -> Array:
    """The frames of steps that have several each, (steps, ..., frames, ...), one after the other, (rows, ...)."""
    if output.frames == 1:
        return array
    frames = np.moveaxis(array, 1 + output.time_axis, 1)
    return np.ascontiguousarray(frames.reshape(-1, *frames.shape[2:]))
