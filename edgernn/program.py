"""Program: the frozen, validated description of one time step. Every back end takes the same Program."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from fractions import Fraction
from functools import cached_property
from math import prod
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.errors import MalformedModelError
from edgernn.metadata import Metadata
from edgernn.operations import (
    EVERY_STEP,
    MAX_ELEMENTS,
    AnyOperation,
    History,
    Int8RecurrentOperation,
    PutFrame,
    Quantize,
    ReadState,
    RecurrentOperation,
    Repeat,
    Schedule,
    Shape,
    TakeFrame,
    Value,
    Weights,
    WriteState,
)

Mode: TypeAlias = Literal["continuous", "delayed", "windowed"]
Arithmetic: TypeAlias = Literal["float32", "int8"]

MAX_OPERATIONS = 100_000
MAX_NAME = 512  # characters of a name
MAX_WINDOW_STEPS = 10_000_000
MAX_ROUNDS = 1 << 28  # of a body of a step, in all the loops around it
NUMBER_TYPES = ("float32", "float64", "int8", "int16", "int32", "int64")  # of ports and states


class Port(msgspec.Struct, frozen=True):
    """An input or output of one time step, as the user sees it.

    Attributes
    ----------
    name : str
        The name in the ONNX graph.
    shape : tuple of int
        Shape of one frame, time and batch removed; in windowed mode a per-frame output holds a whole window of frames.
    dtype : str
        NumPy name of the number type.
    rate : Fraction
        Frames for each time step.
    """

    name: str
    shape: Shape
    dtype: str = "float32"
    rate: Fraction = Fraction(1)

    @property
    def size(self) -> int:
        """Numbers in one frame."""
        return prod(self.shape)


class StateSlot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A named piece of memory that lasts from step to step.

    Attributes
    ----------
    name : str
        The model's state input, or ``<node's first output>.h`` and ``.c`` where the graph hides the state.
    shape : tuple of int
        The model's shape, batch removed.
    dtype : str
        NumPy name of the number type.
    initial : str or None
        Weight that holds the content after a reset, of the same shape; None for zeros.
    scale : float or None
        What an integer state is multiplied with to give the model's own units; None for float states.
    """

    name: str
    shape: Shape
    dtype: str = "float32"
    initial: str | None = None
    scale: float | None = None

    @property
    def size(self) -> int:
        """Numbers in the slot."""
        return prod(self.shape)


class InputDescription(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An input of the step: it writes the value of the same name."""

    name: str
    shape: Shape
    dtype: str = "float32"


class OutputDescription(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An output of the step.

    `per_frame` tells an output that the model has for each frame from one that belongs to the whole sequence.
    `time_axis` is where the graph has the time axis of a per-frame output once the batch is removed; it shapes the
    frames of a window. `when` says in which steps the output comes, `frames` how many frames of the graph each brings:
    above 1 the value has them along `time_axis`.
    """

    name: str
    value: str
    per_frame: bool
    time_axis: int = 0
    when: Schedule = EVERY_STEP
    frames: int = 1

    def window_shape(self, shape: Shape, steps: int) -> Shape:
        """What a staggered window of `steps` steps gives: all frames along the time axis, where there are several."""
        if not self.per_frame:
            return shape
        behind = self.time_axis + (self.frames > 1)  # a step's own frames are part of that axis
        return (*shape[: self.time_axis], self.when.frames(steps) * self.frames, *shape[behind:])


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sliding window: outputs come at t = steps - 1 + n * hop, each as from a fresh state.

    Of a model that reads its frames in order, copies of the state run staggered, and the work is spread evenly. A
    window that is `recomputed` is kept as frames, and the model runs over all of them when the window is full: its
    operations say so themselves (`Operation.when`), to the runner it is a program like any other.
    """

    steps: int
    hop: int
    recomputed: bool = False

    @property
    def copies(self) -> int:
        """States that run side by side, each begun `hop` steps after the one before."""
        return 1 if self.recomputed else -(-self.steps // self.hop)


class ProgramDescription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of a Program but its weights: what a program file keeps as JSON.

    Attributes
    ----------
    inputs, outputs, state, operations
        In order; operations run first to last, and a value is written before it is read.
    arithmetic : "float32" or "int8"
    mode_reason : str
        Why the model runs in its mode, for `inspect`.
    tail_steps : int
        Steps that follow the end of a sequence until the last frame has come.
    tail : "step" or "flush"
        Where an output of the whole sequence needs the tail: run it in each step on a copy of the state, or only when
        the stream is flushed.
    window : Window or None
        Present for windowed programs.
    trained_steps : int or None
        The sequence length frozen in the model or stated in its metadata.
    warnings : tuple of str
        What the importer wants a person to know.
    metadata : Metadata
    """

    inputs: tuple[InputDescription, ...]
    outputs: tuple[OutputDescription, ...]
    state: tuple[StateSlot, ...] = ()
    operations: tuple[AnyOperation, ...]
    arithmetic: Arithmetic = "float32"
    mode_reason: str = ""
    tail_steps: int = 0
    tail: Literal["step", "flush"] = "step"
    window: Window | None = None
    trained_steps: int | None = None
    warnings: tuple[str, ...] = ()
    metadata: Metadata = Metadata()


class Program:
    """One time step of a model: typed values, operations, states and weights. Immutable; shared freely.

    Parameters
    ----------
    description : ProgramDescription
    weights : mapping of str to ndarray
        Copied, made contiguous and read-only.

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
        self.values: Mapping[str, Value] = MappingProxyType(_infer_values(description, self.weights))

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
        """Step operations in the order they run."""
        return self.description.operations

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
            operation.input_dtype != "float32" or (isinstance(operation, Quantize) and operation.counts is not None)
            for operation in self.operations
            if operation.inputs
        )

    @cached_property
    def hash(self) -> str:
        """SHA-256 over everything that is computed, in hexadecimal; labels, warnings and the like are left out."""
        computed = msgspec.structs.replace(self.description, metadata=Metadata(), mode_reason="", warnings=())
        digest = hashlib.sha256(msgspec.json.encode(computed, order="deterministic"))
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

    @cached_property
    def multiply_accumulates(self) -> int:
        """Multiply-accumulates of the matrix products in one step of one state."""
        return sum(
            rounds * operation.multiply_accumulates(tuple(self.values[name] for name in operation.inputs), self.weights)
            for rounds, operation in zip(self.rounds, self.operations, strict=True)
        )

    @cached_property
    def rounds(self) -> tuple[int, ...]:
        """How often each operation runs when its step does: more than once inside a Repeat."""
        rounds = [1] * len(self.operations)
        for place, operation in enumerate(self.operations):
            if isinstance(operation, Repeat):
                for inner in range(place + 1, place + 1 + operation.body):
                    rounds[inner] *= operation.count
        return tuple(rounds)

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
        operations = []
        for operation in self.operations:
            schedules = {name: getattr(operation, name, None) for name in ("when", "read")}
            changes: dict[str, Any] = {name: new[when] for name, when in schedules.items() if when in new}
            operations.append(msgspec.structs.replace(operation, **changes))
        outputs = tuple(
            msgspec.structs.replace(output, when=new.get(output.when, output.when))
            for output in self.description.outputs
        )
        window = Window(steps, hop, recomputed=True)
        changed = msgspec.structs.replace(
            self.description, window=window, operations=tuple(operations), outputs=outputs
        )
        return Program(changed, self.weights)

    def with_tail(self, tail: Literal["step", "flush"]) -> Program:
        """The same model with outputs of the whole sequence in each step, or only when the stream is flushed."""
        if tail == self.description.tail:
            return self
        return Program(msgspec.structs.replace(self.description, tail=tail), self.weights)

    def with_metadata(self, metadata: Metadata) -> Program:
        """The same model with other metadata."""
        return Program(msgspec.structs.replace(self.description, metadata=metadata), self.weights)


def _frozen(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.size > MAX_ELEMENTS:
        raise MalformedModelError(f"weight {name} has {array.size} elements, the most is {MAX_ELEMENTS}")
    copy = np.array(array, order="C", copy=True)
    if copy.dtype.kind == "f" and not np.isfinite(copy).all():
        raise MalformedModelError(f"weight {name} holds NaN or infinity: train again or export again")
    copy.setflags(write=False)
    return copy


def _infer_values(description: ProgramDescription, weights: Weights) -> dict[str, Value]:
    """Type of every value by name, after checking all names, shapes, states and orders."""
    if not description.inputs or not description.outputs:
        raise MalformedModelError("a program needs at least one input and one output")
    if len(description.operations) > MAX_OPERATIONS:
        raise MalformedModelError(f"{len(description.operations)} operations, the most is {MAX_OPERATIONS}")
    _check_steps(description)
    _check_number_types(description)
    _check_names(description)
    _check_states(description, weights)
    values: dict[str, Value] = {}
    for port in description.inputs:
        if any(extent < 1 for extent in port.shape) or prod(port.shape) > MAX_ELEMENTS:
            raise MalformedModelError(f"input {port.name} has shape {port.shape}, it is empty or too large")
        values[port.name] = Value(port.shape, port.dtype)
    for operation in description.operations:
        missing = [name for name in operation.inputs if name not in values]
        if missing:
            raise operation.malformed(f"reads {missing[0]}, which no earlier operation writes")
        inputs = tuple(values[name] for name in operation.inputs)
        operation.expect_dtypes(inputs)
        if not operation.when.is_valid:
            raise operation.malformed("its schedule is out of range")
        results = operation.infer(inputs, weights)
        for name, value in zip(operation.outputs, results, strict=True):
            if name in values:
                raise operation.malformed(f"writes {name}, which is written already")
            if value.size > MAX_ELEMENTS:
                raise operation.malformed(f"writes {value.size} elements, the most is {MAX_ELEMENTS}")
            values[name] = value
        _check_regions(operation, description, weights)
    _check_write_order(description, weights)
    _check_loops(description, values)
    for output in description.outputs:
        if output.value not in values:
            raise MalformedModelError(f"output {output.name} reads {output.value}, which no operation writes")
        shape = values[output.value].shape
        if not 0 <= output.time_axis <= len(shape):
            raise MalformedModelError(f"output {output.name} has time axis {output.time_axis}, out of range")
        if output.frames != 1 and (output.time_axis == len(shape) or shape[output.time_axis] != output.frames):
            raise MalformedModelError(f"output {output.name} claims {output.frames} frames, but has the shape {shape}")
        window, when = description.window, output.when
        needed = when.first + 1 if when.at_end else when.period - when.extra
        if window is not None and not window.recomputed and window.steps < needed:
            raise MalformedModelError(
                f"a window of {window.steps} steps is too short for output {output.name}, whose first frame needs "
                f"{needed}: use a longer window"
            )
        if not output.when.is_valid or (output.when.at_end and output.per_frame):
            raise MalformedModelError(f"output {output.name} has a schedule that is out of range")
    _check_schedules(description)
    return values


def _check_steps(description: ProgramDescription) -> None:
    window, trained_steps = description.window, description.trained_steps
    counts = [("tail_steps", description.tail_steps, 0)]
    if window is not None:
        counts += [("window", window.steps, 1), ("hop", window.hop, 1)]
    if trained_steps is not None:
        counts += [("trained_steps", trained_steps, 1)]
    for name, steps, least in counts:
        if not least <= steps <= MAX_WINDOW_STEPS:
            raise MalformedModelError(f"{name} is {steps} steps, it must be from {least} to {MAX_WINDOW_STEPS}")


def _check_number_types(description: ProgramDescription) -> None:
    ports: tuple[InputDescription | StateSlot, ...] = (*description.inputs, *description.state)
    for typed in ports:
        if typed.dtype not in NUMBER_TYPES:
            raise MalformedModelError(f"{typed.name} holds {typed.dtype!r}, known are {', '.join(NUMBER_TYPES)}")


def _check_names(description: ProgramDescription) -> None:
    groups = {
        "input": [port.name for port in description.inputs],
        "output": [port.name for port in description.outputs],
        "state": [slot.name for slot in description.state],
        "operation": [operation.name for operation in description.operations],
    }
    for what, names in groups.items():
        for name in names:
            if not name or len(name) > MAX_NAME:
                raise MalformedModelError(f"{what} name {name[:40]!r} is empty or longer than {MAX_NAME} characters")
        if len(set(names)) != len(names):
            double = next(name for name in names if names.count(name) > 1)
            raise MalformedModelError(f"two {what}s are called {double!r}")


def _check_states(description: ProgramDescription, weights: Weights) -> None:
    for slot in description.state:
        if any(extent < 1 for extent in slot.shape) or slot.size > MAX_ELEMENTS:
            raise MalformedModelError(f"state {slot.name} has shape {slot.shape}, it is empty or too large")
        if slot.initial is not None:
            initial = weights.get(slot.initial)
            if initial is None or initial.shape != slot.shape or initial.dtype != slot.dtype:
                raise MalformedModelError(
                    f"state {slot.name}: its initial content {slot.initial} is missing or has another shape"
                )


def _check_regions(operation: AnyOperation, description: ProgramDescription, weights: Weights) -> None:
    slots = {slot.name: slot for slot in description.state}
    for region, size in operation.regions(weights):
        if region.slot not in slots:
            raise operation.malformed(f"uses state {region.slot}, which does not exist")
        if region.offset < 0 or region.offset + size > slots[region.slot].size:
            raise operation.malformed(
                f"uses elements {region.offset} to {region.offset + size - 1} of state {region.slot}, "
                f"which has {slots[region.slot].size}"
            )
    for field, (dtype, scale) in operation.state_values().items():
        slot = slots[getattr(operation, field).slot]
        if (slot.dtype, slot.scale) != (dtype, scale):
            raise operation.malformed(f"needs state {slot.name} to be {dtype} of scale {scale}, it is {slot.dtype}")


def _check_write_order(description: ProgramDescription, weights: Weights) -> None:
    """A state's old content must have been read by everyone who needs it before it is overwritten.

    A ReadState may follow a recurrent cell: that is how the new cell state of an Lstm becomes a value. One that says
    `held` follows a write, and a write that says `begins` leaves no old content.
    """
    changed: dict[str, list[tuple[int, int, AnyOperation]]] = {}
    for operation in description.operations:
        for region, size in operation.regions(weights):
            changes = changed.setdefault(region.slot, [])
            for start, stop, by in changes:
                overlaps = region.offset < stop and start < region.offset + size
                if overlaps and not _may_follow(operation, by):
                    raise operation.malformed(f"uses state {region.slot} after another operation has changed it")
            if operation.changes_state:
                changes.append((region.offset, region.offset + size, operation))


def _may_follow(operation: AnyOperation, change: AnyOperation) -> bool:
    """Whether an operation may use a state that another has changed in the same step."""
    if isinstance(operation, ReadState):
        is_new = isinstance(change, RecurrentOperation | Int8RecurrentOperation)
        return operation.held or is_new or (isinstance(change, WriteState) and change.begins)
    return isinstance(change, WriteState) and change.begins


def _check_loops(description: ProgramDescription, values: Mapping[str, Value]) -> None:
    """Every body ends before the one around it does, and who asks for a round stands inside of its Repeat."""
    open_loops: list[tuple[Repeat, int]] = []  # and the operation behind its body
    for index, operation in enumerate(description.operations):
        while open_loops and open_loops[-1][1] <= index:
            open_loops.pop()
        end = open_loops[-1][1] if open_loops else len(description.operations)
        if isinstance(operation, Repeat):
            if index + 1 + operation.body > end:
                raise operation.malformed("its body is longer than what follows it")
            open_loops.append((operation, index + 1 + operation.body))
            if prod(loop.count for loop, _ in open_loops) > MAX_ROUNDS:
                raise operation.malformed(f"repeats its body more than {MAX_ROUNDS} times a step, with those around it")
        elif isinstance(operation, TakeFrame | PutFrame):
            loop = next((loop for loop, _ in open_loops if loop.name == operation.loop), None)
            if loop is None:
                raise operation.malformed(f"asks for the round of {operation.loop}, outside of its body")
            frames = operation.count if isinstance(operation, PutFrame) else values[operation.inputs[0]].shape[0]
            if frames != loop.count:
                raise operation.malformed(f"has {frames} frames for {loop.count} rounds")


def _check_schedules(description: ProgramDescription) -> None:
    """What an operation or an output reads was written in the same step, in each of its steps."""
    tail_steps = description.tail_steps
    written = {port.name: EVERY_STEP for port in description.inputs}
    around: list[tuple[Repeat, int]] = []  # and the operation behind its body
    for index, operation in enumerate(description.operations):
        around = [(loop, end) for loop, end in around if index < end]
        when = operation.when
        for name in operation.inputs:
            if not written[name].covers(when, tail_steps):
                raise operation.malformed(f"reads {name} in steps in which it is not written")
        if around and not around[-1][0].when.covers(when, tail_steps):
            raise operation.malformed(f"does not keep to the steps of {around[-1][0].name}, whose body it is in")
        if isinstance(operation, Repeat):
            around.append((operation, index + 1 + operation.body))
        if isinstance(operation, History):
            if not when.paces(operation.read):
                raise operation.malformed("gives taps in steps in which it takes no frame")
            when = operation.read
        written |= dict.fromkeys(operation.outputs, when)
    for output in description.outputs:
        if not written[output.value].covers(output.when, tail_steps):
            raise MalformedModelError(f"output {output.name} comes in steps in which {output.value} is not written")
        recomputed = description.window is not None and description.window.recomputed
        if output.when.tail_steps > tail_steps and not recomputed:
            raise MalformedModelError(
                f"output {output.name} comes up to {output.when.tail_steps} steps behind the end of a sequence, the "
                f"tail has {tail_steps}"
            )
