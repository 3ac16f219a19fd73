"""The step program while it is being made: values, operations, weights and states, as the rules ask for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgernn.errors import UnsupportedModelError
from edgernn.importers.onnx.streams.names import Names
from edgernn.importers.onnx.streams.timing import Timing
from edgernn.importers.onnx.streams.values import Constant, Factor, Role, Stream, Tensor, check_step_shape, width_of
from edgernn.importers.onnx.streams.weights import WeightStore
from edgernn.program import operations
from edgernn.program.description import StateSlot
from edgernn.program.operations import AnyOperation, ReadState, Rearrange, Repeat, Shape, StateRegion, Value, WriteState
from edgernn.program.trees import LoopPath


@dataclass(frozen=True)
class StateBinding:
    """A run of elements of a state input that a recurrence begins from, and the value that holds its last state."""

    state_input: str
    offset: int
    size: int
    last: str


class ProgramBuilder:
    """Collects what the rules emit.

    Attributes
    ----------
    operations, weights
        As in a Program; the operations are listed, each Repeat before its body.
    loops : dict of str to tuple of str
        By operation the names of the Repeats around it.
    values : dict of str to Value
        Type of each value written so far.
    slots : dict of str to StateSlot
        States that the graph hides, in order.
    state_bindings : list of StateBinding
        Pieces of state inputs that recurrences run on.
    inputs : set of str
        Inputs of the graph that may be read as values.
    has_time : bool
        The graph is a whole sequence. Then only recurrences may read states, and only they may begin from one; in the
        graph of a single step, states are read and made freely.
    state_inputs : frozenset of str
        Inputs of the graph that are known to be states.
    warnings : list of str
    source : str
        Name of the node that is being applied.
    batch : int
        Samples in a batch, where the file has frozen their number.
    steps : int or None
        Time steps, where the file has frozen their number.
    ran_over_time : bool
        An operator, or a loop, has run over time.
    carried : list of tuple of Stream
        What loops within a step begin from, and what they make of it.
    running_means : dict of str to tuple of Stream
        For the value of a mean over time the frames that it is of, and the mean of all up to each.
    deferred_errors : dict of str to str
        Values and states that stand for something that a stream does not have, with what that is. Their shapes are
        right; a program that needs their numbers is refused.
    """

    def __init__(self, has_time: bool, state_inputs: frozenset[str], tensor_names: Iterable[str]) -> None:
        self.operations: list[AnyOperation] = []
        self.weight_store = WeightStore()
        self.values: dict[str, Value] = {}
        self.slots: dict[str, StateSlot] = {}
        self.state_bindings: list[StateBinding] = []
        self.inputs: set[str] = set()
        self.has_time = has_time
        self.state_inputs = state_inputs
        self.warnings: list[str] = []
        self.source = ""
        self.batch = 1
        self.steps: int | None = None
        self.ran_over_time = False
        self.deferred_errors: dict[str, str] = {}
        self.carried: list[tuple[Stream, Stream]] = []
        self.running_means: dict[str, tuple[Stream, Stream]] = {}
        self.loops: dict[str, LoopPath] = {}
        self._open_loops: list[str] = []
        self.timings_of_repeats: dict[str, Timing] = {}
        self.value_names = Names(tensor_names)
        self.operation_names = Names()
        self._slot_names = Names()
        self._arranged: dict[tuple[tuple[str, ...], Shape, bytes, Timing], str] = {}
        self._final_states: dict[str, tuple[StateRegion, int]] = {}

    def add_input(self, name: str, shape: Shape, dtype: str = "float32") -> None:
        """Make an input of the graph a value."""
        self.values[name] = Value(shape, dtype)
        self.inputs.add(name)
        self._slot_names.take(name)

    @property
    def weights(self) -> dict[str, NDArray[Any]]:
        """Arrays by name."""
        return self.weight_store.arrays

    def unique(self, name: str) -> str:
        """A name for a value that the graph does not have."""
        return self.value_names.unique(name)

    def unique_operation(self, name: str) -> str:
        """A name for an operation."""
        return self.operation_names.unique(name)

    def emit(self, operation: AnyOperation, timing: Timing) -> None:
        """Add an operation that runs when frames of `timing` come, after its own checks of shapes and weights."""
        operation = msgspec.structs.replace(operation, when=timing.schedule)
        inputs = tuple(self.values[name] for name in operation.inputs)
        self._pass_doubts(operation)
        for name, value in zip(operation.outputs, operation.infer(inputs, self.weights), strict=True):
            check_step_shape(value.shape, f"value {name}")
            self.values[name] = value
        self.operations.append(operation)
        self.loops[operation.name] = tuple(self._open_loops)

    def open_loop(self, repeat: Repeat, timing: Timing) -> None:
        """Emit a Repeat; what is emitted until `close_loop` is its body."""
        self.emit(repeat, timing)
        self._open_loops.append(repeat.name)

    def close_loop(self) -> None:
        """The body of the loop that was opened last is complete."""
        self._open_loops.pop()

    def _pass_doubts(self, operation: AnyOperation) -> None:
        """What is computed from a doubtful value or state is as doubtful."""
        slots = [region.slot for region, _ in operation.regions(self.weights)]
        deferred = [self.deferred_errors[name] for name in (*operation.inputs, *slots) if name in self.deferred_errors]
        if deferred:
            changed = slots if operation.changes_state else []
            self.deferred_errors.update(dict.fromkeys((*operation.outputs, *changed), deferred[0]))

    def weight(self, name: str, array: ArrayLike, dtype: str = "float32") -> str:
        """Store a weight and return its name; equal weights are stored once."""
        return self.weight_store.add(name, array, dtype)

    def size_of(self, base: str) -> int:
        """Numbers in the value or state that a stream is based on."""
        return self.values[base].size if base in self.values else self._final_states[base][1]

    def dtype_of(self, tensor: Tensor) -> str:
        """Number type of a tensor's value in a step."""
        if isinstance(tensor, Stream):
            return self.values[tensor.bases[0]].dtype if tensor.bases[0] in self.values else "float32"
        return "int32" if tensor.elements.dtype.kind in "iu" else "float32"

    def of_one_sample(self, tensor: Tensor) -> Tensor:
        """A constant that begins a state: where it is the same for each sample of a frozen batch, that of one."""
        if not isinstance(tensor, Constant) or self.batch < 2:
            return tensor
        for axis, extent in enumerate(tensor.extents):
            if extent == self.batch and (tensor.elements == tensor.elements.take([0], axis)).all():
                axes = (*tensor.axes[:axis], (Factor(Role.BATCH, self.batch),), *tensor.axes[axis + 1 :])
                return tensor.moved(axes, tensor.elements.take([0], axis))
        return tensor

    def as_stream(self, tensor: Tensor, timing: Timing) -> Stream:
        """A tensor as a stream: a constant comes with the frames of `timing`."""
        if isinstance(tensor, Constant):
            return self.constant(tensor, timing)
        assert isinstance(tensor, Stream)
        return tensor

    def constant(self, constant: Constant, timing: Timing) -> Stream:
        """A constant as a stream."""
        name = self.unique(f"{constant.name or 'constant'}:value")
        numbers, dtype = constant.elements.reshape(-1), self.dtype_of(constant)
        if dtype == "int32" and (np.abs(numbers.astype(float)) >= 2**31).any():
            raise UnsupportedModelError(f"{name} holds integers of more than 32 bits: only those of 32 bits can run")
        weight = self.weight(name, numbers, dtype)
        operation = operations.Constant(
            name=self.unique_operation(name),
            inputs=(),
            outputs=(name,),
            sources=self.sources,
            weight_name=weight,
            dtype=dtype,
        )
        self.emit(operation, timing)
        return Stream.of(name, constant.axes, timing)

    def value(self, stream: Stream, shape: Shape | None = None) -> str:
        """The name of a value that holds the stream, shaped as `shape` or as is natural.

        Emits a Rearrange where the stream is not a value as it is.
        """
        assert stream.is_known, "what nobody knows before the end is no value"
        shape = natural_shape(stream) if shape is None else shape
        for base in stream.bases:
            self._make_readable(base, stream.timing)
        whole = len(stream.bases) == 1 and _is_all_in_order(stream.elements, self.values[stream.bases[0]].size)
        if whole and self.values[stream.bases[0]].shape == shape:
            return stream.bases[0]
        indices = stream.elements.astype(np.int32).ravel()
        key = (stream.bases, shape, b"" if whole else indices.tobytes(), stream.timing)
        if key not in self._arranged:
            name = self.unique(f"{stream.bases[0]}:arranged")
            self.emit(
                Rearrange(
                    name=self.unique_operation(name),
                    inputs=stream.bases,
                    outputs=(name,),
                    sources=self.sources,
                    shape=shape,
                    indices=None if whole else self.weight(f"{name}.indices", indices, "int32"),
                ),
                stream.timing,
            )
            self._arranged[key] = name
        return self._arranged[key]

    def value_of_any_shape(self, stream: Stream) -> str:
        """As `value`, for operations to which only the order of the elements matters."""
        base = stream.bases[0]
        self._make_readable(base, stream.timing)
        is_value = len(stream.bases) == 1 and _is_all_in_order(stream.elements, self.values[base].size)
        return base if is_value else self.value(stream)

    def check_readable(self, base: str) -> None:
        """Refuse to read a state input of a sequence as it is."""
        if self.has_time and base in self.state_inputs:
            raise UnsupportedModelError(self.unreadable(base))

    def unreadable(self, base: str) -> str:
        """Why a state input of a sequence cannot be read as it is."""
        return (
            f"the state input {base} is read by more than the recurrence that it begins: export the model for one "
            "time step (time length 1), where states may be used freely; if it is no state, say so with states={}"
        )

    def _make_readable(self, base: str, timing: Timing) -> None:
        self.check_readable(base)
        if base not in self.values:
            region, size = self._final_states[base]
            name = self.unique_operation(f"read {base}")
            self.emit(ReadState(name=name, inputs=(), outputs=(base,), region=region, shape=(size,)), timing)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the nodes that an operation emitted now comes from."""
        return (self.source,) if self.source else ()

    # states

    def ring(self, name: str, length: int, frame: Value, fill: float) -> tuple[StateRegion, StateRegion]:
        """States for the last `length` frames, all numbers of which are `fill` at first, and for the position."""
        check_step_shape((length, frame.size), f"the history {name}")
        region = self.hidden_state(name, np.full(length * frame.size, fill, frame.dtype))
        position = self._slot_names.unique(f"{name}.position")
        self.slots[position] = StateSlot(position, (1,), "int32")
        return region, StateRegion(position)

    def hidden_state(self, name: str, initial: NDArray[Any]) -> StateRegion:
        """A new state that the graph hides; `initial` is its content after a reset, (hidden_size,)."""
        slot = self._slot_names.unique(name)
        dtype = initial.dtype.name
        start = self.weight(f"{slot}.initial", initial, dtype) if initial.any() else None
        self.slots[slot] = StateSlot(slot, initial.shape, dtype, initial=start)
        return StateRegion(slot)

    def begun_state(self, name: str, initial: Tensor | None, size: int, timing: Timing) -> StateRegion:
        """A state that begins anew whenever frames of `timing` come; `initial` is (size,), None for zeros."""
        dtype = "float32" if initial is None else self.dtype_of(initial)
        region = self.hidden_state(name, np.zeros(size, dtype))
        start = Constant.of(np.zeros(size, np.float32)) if initial is None else initial
        stream = self.as_stream(start, timing)
        value = self.value(stream, (size,))
        self.write_state(f"begin {region.slot}", region, value, size, timing, begins=True, dtype=dtype)
        return region

    def read_state(
        self,
        name: str,
        region: StateRegion,
        value: str,
        size: int,
        timing: Timing,
        *,
        latched: bool = False,
        dtype: str = "float32",
    ) -> None:
        """Emit the operation `name` that reads a state, (size,), as a value."""
        read = ReadState(
            name=self.unique_operation(name),
            inputs=(),
            outputs=(value,),
            sources=self.sources,
            region=region,
            shape=(size,),
            latched=latched,
            dtype=dtype,
        )
        self.emit(read, timing)

    def write_state(
        self,
        name: str,
        region: StateRegion,
        value: str,
        size: int,
        timing: Timing,
        *,
        begins: bool = False,
        dtype: str = "float32",
    ) -> None:
        """Emit the operation `name` that writes a value into a state, (size,)."""
        write = WriteState(
            name=self.unique_operation(name),
            inputs=(value,),
            outputs=(),
            sources=self.sources,
            region=region,
            size=size,
            begins=begins,
            dtype=dtype,
        )
        self.emit(write, timing)

    def can_bind(self, stream: Stream) -> bool:
        """Whether a stream is a run of elements of one input of the graph, which can be a state."""
        flat = stream.elements.ravel()
        is_run = len(stream.bases) == 1 and flat.size > 0 and bool((np.diff(flat) == 1).all())
        return is_run and stream.bases[0] in (self.state_inputs if self.has_time else self.inputs)

    def bind_state(self, stream: Stream, last: str) -> StateRegion | None:
        """The region of a state input that `stream` is, now owned by a recurrence whose last state is `last`.

        None if the stream is no run of elements of one input of the graph.
        """
        if not self.can_bind(stream):
            return None
        flat, base = stream.elements.ravel(), stream.bases[0]
        binding = StateBinding(base, int(flat[0]), flat.size, last)
        for other in self.state_bindings:
            overlaps = other.offset < binding.offset + binding.size and binding.offset < other.offset + other.size
            if other.state_input == base and overlaps:
                raise UnsupportedModelError(
                    f"the state input {base} begins two recurrences: give each layer a state of its own"
                )
        self.state_bindings.append(binding)
        return StateRegion(base, binding.offset)

    def final_state(self, name: str, region: StateRegion, size: int) -> None:
        """Say that the value `name` is what a recurrence has made of a state; it is read only if somebody needs it."""
        self._final_states[name] = (region, size)


def natural_shape(stream: Stream) -> Shape:
    """The shape of a stream's value: without the axes of time and batch, and without leading ones."""
    return without_leading_ones(tuple(width_of(axis) for axis in stream.axes if not axis or width_of(axis) > 1))


def without_leading_ones(shape: Shape) -> Shape:
    """The shape without leading extents of 1, but with at least one axis."""
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return shape or (1,)


def _is_all_in_order(elements: NDArray[Any], size: int) -> bool:
    return elements.size == size and bool((elements.ravel() == np.arange(size)).all())
