"""Program: the frozen, validated description of one time step. Every back end takes the same Program."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from math import prod
from types import MappingProxyType
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.errors import InputError, MalformedModelError
from edgernn.program.description import Arithmetic, Mode, OutputDescription, Port, ProgramDescription, StateSlot, Window
from edgernn.program.encoding import encode
from edgernn.program.graph import ProgramGraph
from edgernn.program.metadata import Metadata
from edgernn.program.operations import MAX_ELEMENTS, AnyOperation, Quantize, Repeat, Schedule, Value, Weights
from edgernn.program.running import Running
from edgernn.program.validation import infer_values


class Program:
    """One time step of a model: typed values, operations, states and weights. Immutable; shared freely.

    Parameters
    ----------
    description : ProgramDescription
    weights : mapping of str to ndarray
        Copied, made contiguous and read-only; an array that owns read-only memory, as another program's, is shared.

    Raises
    ------
    MalformedModelError
        Anything in the description or the weights is inconsistent, not finite or larger than the bounds.
    """

    def __init__(self, description: ProgramDescription, weights: Weights) -> None:
        self.description = description
        self.weights: Mapping[str, NDArray[Any]] = MappingProxyType(
            {name: _frozen(name, array) for name, array in weights.items()}
        )
        self.values: Mapping[str, Value] = MappingProxyType(infer_values(description, self.weights))

    def __repr__(self) -> str:
        ports = ", ".join(f"{port.name}{list(port.shape)}" for port in self.inputs)
        results = ", ".join(f"{port.name}{list(port.shape)}" for port in self.outputs)
        return (
            f"<edgernn.Program {ports} -> {results}, {self.mode}, {self.arithmetic}, {len(self.operations)} operations>"
        )

    def __reduce__(self) -> tuple[type[Program], tuple[ProgramDescription, dict[str, NDArray[Any]]]]:
        return Program, (self.description, dict(self.weights))  # so that other processes can be handed a program

    @cached_property
    def inputs(self) -> tuple[Port, ...]:
        """Inputs of one step."""
        return tuple(Port(port.name, port.shape, port.dtype) for port in self.description.inputs)

    def channels_of(self, name: str) -> slice:
        """Where an input's numbers stand among those of all inputs, as the metadata's channels, mean and std do."""
        start = 0
        for port in self.inputs:
            if port.name == name:
                break
            start += port.size
        return slice(start, start + port.size)

    def normalisation(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Mean and standard deviation by which a stream normalises an input, shaped like it; None if it does not.

        Raises
        ------
        InputError
            The metadata has a mean for some of its numbers only.
        """
        port, part = next(port for port in self.inputs if port.name == name), self.channels_of(name)
        mean, std = np.array(self.metadata.mean)[part], np.array(self.metadata.std)[part]
        if len(mean) not in (0, port.size):
            raise InputError(
                f"the metadata has {len(self.metadata.mean)} means, which are {len(mean)} for the {port.size} numbers "
                f"of input {name}: give one for each number of the inputs, in their order"
            )
        return (mean.reshape(port.shape), std.reshape(port.shape)) if len(mean) else None

    @cached_property
    def outputs(self) -> tuple[Port, ...]:
        """Outputs of one step; in windowed mode they come once every hop."""
        return tuple(self._output_port(output) for output in self.description.outputs)

    def _output_port(self, output: OutputDescription) -> Port:
        value = self.values[output.value]
        if self.staggered is None:
            return Port(output.name, value.shape, value.dtype, Fraction(output.frames, output.when.period))
        shape = output.window_shape(value.shape, self.staggered.steps)
        return Port(output.name, shape, value.dtype, Fraction(1, self.staggered.hop))

    @property
    def state(self) -> tuple[StateSlot, ...]:
        """Named states."""
        return self.description.state

    @property
    def operations(self) -> tuple[AnyOperation, ...]:
        """Step operations in order, each Repeat before its body; as a tree they are in `description.operations`."""
        return self.graph.operations

    @cached_property
    def graph(self) -> ProgramGraph:
        """Who writes and reads each value, and the loops around each operation."""
        return ProgramGraph(self.description.operations, [output.value for output in self.description.outputs])

    @property
    def window(self) -> Window | None:
        """The sliding window, None unless the mode is windowed."""
        return self.description.window

    @property
    def staggered(self) -> Window | None:
        """The sliding window that runs as staggered copies of the state, None where there is none."""
        window = self.description.window
        return None if window is None or window.recomputed else window

    @property
    def mode(self) -> Mode:
        """ "continuous", "delayed" or "windowed"."""
        if self.description.window is not None:
            return "windowed"
        return "delayed" if self.delay_steps else "continuous"

    @property
    def delay_steps(self) -> int:
        """Steps by which the outputs lag behind the input, as many as the tail of a flushed stream has."""
        if self.window is not None:
            return 0
        return max(output.when.tail_steps for output in self.description.outputs)

    @property
    def warmup_steps(self) -> int:
        """First steps that return nothing, beside the delay."""
        if self.window is not None:
            return self.window.steps - 1
        return max(0, min(output.when.first - output.when.tail_steps for output in self.description.outputs))

    @property
    def tail_steps(self) -> int:
        """Steps that follow the end of a sequence until the last frame has come."""
        return self.description.tail_steps

    @property
    def runs_tail_in_each_step(self) -> bool:
        """Whether an output of the whole sequence needs the tail of each prefix."""
        at_end = any(output.when.at_end for output in self.description.outputs)
        return at_end and self.tail_steps > 0 and self.description.tail == "step" and self.staggered is None

    @property
    def window_steps(self) -> int | None:
        """Length of the sliding window, None unless the mode is windowed."""
        return self.description.window.steps if self.description.window else None

    @property
    def trained_steps(self) -> int | None:
        """Sequence length frozen in the model or stated in its metadata."""
        return self.description.trained_steps

    @property
    def fixed(self) -> Mapping[str, tuple[float, ...]]:
        """Inputs of the graph that were set for good, by name."""
        fixed = self.description.fixed
        return {} if isinstance(fixed, msgspec.UnsetType) else fixed

    @cached_property
    def running(self) -> Running:
        """How a stream runs the model, and why; see `edgernn.as_run`."""
        running = self.description.running
        return self.description.running_by_rule() if isinstance(running, msgspec.UnsetType) else running

    @property
    def arithmetic(self) -> Arithmetic:
        """ "float32" or "int8"."""
        return self.description.arithmetic

    @property
    def metadata(self) -> Metadata:
        """Labels, channels, units, rate, normalisation, decision settings."""
        return self.description.metadata

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the importer wants a person to know."""
        return self.description.warnings

    @cached_property
    def takes_counts(self) -> bool:
        """Whether it can run from the sensor's integer counts to integer outputs, without any float between."""
        return not any(slot.dtype == "float32" for slot in self.state) and all(
            isinstance(operation, Quantize) and operation.counts is not None
            for operation in self.operations
            if any(self.values[name].dtype == "float32" for name in operation.inputs)
        )

    @cached_property
    def hash(self) -> str:
        """SHA-256 over everything that is computed, in hexadecimal; labels, warnings and the like are left out."""
        descriptive: dict[str, Any] = {"metadata": Metadata(), "mode_reason": "", "warnings": (), "equalized": ()}
        descriptive["running"] = descriptive["fixed"] = msgspec.UNSET
        computed = msgspec.structs.replace(self.description, **descriptive)
        digest = hashlib.sha256(encode(computed, order="deterministic"))
        for name in sorted(self.weights):
            array = self.weights[name]
            digest.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
            digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
        return digest.hexdigest()

    @property
    def state_bytes(self) -> int:
        """Bytes of all states: of all copies, and the frames that they collect, where windows are staggered."""
        one = sum(slot.size * np.dtype(slot.dtype).itemsize for slot in self.state)
        if self.staggered is None:
            return one
        frames = (
            port.size * np.dtype(port.dtype).itemsize
            for port, output in zip(self.outputs, self.description.outputs, strict=True)
            if output.per_frame
        )
        return (one + sum(frames)) * self.staggered.copies

    def state_unit(self, slot: StateSlot) -> float | NDArray[np.float64] | None:
        """What a state's content is multiplied with to be in the model's own units: a number, or one for each element.

        None for a state that holds such numbers.
        """
        if slot.factors is None:
            return slot.scale
        factors = np.resize(self.weights[slot.factors].astype(np.float64), slot.size)
        return factors.reshape(slot.shape) * (slot.scale or 1.0)

    @cached_property
    def computed_weights(self) -> Mapping[str, NDArray[Any]]:
        """The weights that are computed with: all but the factors of channels that were equalized."""
        factors = {*self.description.factors.values(), *(slot.factors for slot in self.state)}
        return {name: array for name, array in self.weights.items() if name not in factors}

    @cached_property
    def multiply_accumulates(self) -> int:
        """Multiply-accumulates of the matrix products in one step of one state."""
        return sum(
            iterations
            * operation.multiply_accumulates(tuple(self.values[name] for name in operation.inputs), self.weights)
            for iterations, operation in zip(self.iterations, self.operations, strict=True)
        )

    @cached_property
    def iterations(self) -> tuple[int, ...]:
        """How often each operation runs when its step does: more than once inside a Repeat."""
        counts = {operation.name: operation.count for operation in self.operations if isinstance(operation, Repeat)}
        paths = (self.graph.loops[operation.name] for operation in self.operations)
        return tuple(prod(counts[loop] for loop in path) for path in paths)

    def with_window(self, steps: int, hop: int = 1, reason: str = "asked for with window=") -> Program:
        """The same model on sliding windows.

        Raises
        ------
        MalformedModelError
            `steps` or `hop` is out of range.
        """
        if self.window is not None and self.window.recomputed:
            return self._with_hop(steps, hop)
        window = Window(steps, hop)
        return Program(msgspec.structs.replace(self.description, window=window, mode_reason=reason), self.weights)

    def _with_hop(self, steps: int, hop: int) -> Program:
        """A recomputed window that comes at another pace: all that runs when it is full then runs at that pace."""
        assert self.window is not None
        if steps != self.window.steps:
            raise MalformedModelError(
                f"the program was made for windows of {self.window.steps} steps: load the ONNX model again with "
                f"window={steps}"
            )
        full = Schedule(steps - 1, self.window.hop, self.window.hop - steps)
        new = {full: Schedule(steps - 1, hop, hop - steps)}

        def rescheduled(operation: AnyOperation) -> AnyOperation:
            schedules = {name: getattr(operation, name, None) for name in ("when", "read")}
            changes: dict[str, Any] = {name: new[when] for name, when in schedules.items() if when in new}
            if isinstance(operation, Repeat):
                changes["body"] = tuple(map(rescheduled, operation.body))
            return msgspec.structs.replace(operation, **changes)

        outputs = tuple(
            msgspec.structs.replace(output, when=new.get(output.when, output.when))
            for output in self.description.outputs
        )
        window = Window(steps, hop, recomputed=True)
        changed = msgspec.structs.replace(
            self.description,
            window=window,
            operations=tuple(map(rescheduled, self.description.operations)),
            outputs=outputs,
        )
        return Program(changed, self.weights)

    def with_tail(self, tail: Literal["step", "flush"]) -> Program:
        """The same model with outputs of the whole sequence in each step, or only when the stream is flushed."""
        if tail == self.description.tail:
            return self
        return Program(msgspec.structs.replace(self.description, tail=tail), self.weights)

    def with_operations(self, operations: Sequence[AnyOperation], weights: Weights | None = None) -> Program:
        """The same model computed by other operations, a tree; `weights` join its weights."""
        description = msgspec.structs.replace(self.description, operations=tuple(operations))
        return Program(description, {**self.weights, **(weights or {})})

    def with_running(self, running: Running) -> Program:
        """The same model with another way of running it in a stream."""
        return Program(msgspec.structs.replace(self.description, running=running), self.weights)

    def with_metadata(self, metadata: Metadata) -> Program:
        """The same model with other metadata."""
        return Program(msgspec.structs.replace(self.description, metadata=metadata), self.weights)


def _frozen(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.size > MAX_ELEMENTS:
        raise MalformedModelError(f"weight {name} has {array.size} elements, the most is {MAX_ELEMENTS}")
    flags = array.flags
    is_frozen = isinstance(array, np.ndarray) and flags.owndata and flags.c_contiguous and not flags.writeable
    copy = array if is_frozen else np.array(array, order="C", copy=True)
    if copy.dtype.kind == "f" and not np.isfinite(copy).all():
        raise MalformedModelError(f"weight {name} holds NaN or infinity: train again or export again")
    copy.setflags(write=False)
    return copy
