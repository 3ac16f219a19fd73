"""The step program while it is being made: values, operations, weights and states, as the rules ask for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgernn.errors import UnsupportedModelError
from edgernn.importers.onnx.streams.deferred_errors import DeferredErrors
from edgernn.importers.onnx.streams.findings import Findings
from edgernn.importers.onnx.streams.hidden_states import HiddenStates
from edgernn.importers.onnx.streams.loops import Loops
from edgernn.importers.onnx.streams.names import Names
from edgernn.importers.onnx.streams.state_inputs import StateInputs
from edgernn.importers.onnx.streams.timing import Timing
from edgernn.importers.onnx.streams.values import Constant, Factor, Role, Signal, Tensor, check_step_shape, width_of
from edgernn.importers.onnx.streams.weights import WeightStore
from edgernn.program import operations
from edgernn.program.operations import AnyOperation, ReadState, Rearrange, Repeat, Shape, StateRegion, Value, WriteState


class ProgramBuilder:
    """Emits what the rules ask for, and has a part for each thing that is collected.

    Parameters
    ----------
    has_time : bool
        The graph is a whole sequence, not a single step.
    state_inputs : frozenset of str
        Inputs of the graph that are known to be states.
    tensor_names : iterable of str
        Names that values of other tensors may not have.

    Attributes
    ----------
    operations : list of AnyOperation
        Listed, each Repeat before its body; `loops` says what stands around which.
    values : dict of str to Value
        Type of each value written so far.
    weight_store : WeightStore
    value_names, operation_names : Names
    hidden_states : HiddenStates
    state_inputs : StateInputs
    loops : Loops
    deferred_errors : DeferredErrors
    findings : Findings
    warnings : list of str
        What a person should know.
    source : str
        Name of the node that is being applied.
    """

    def __init__(self, has_time: bool, state_inputs: frozenset[str], tensor_names: Iterable[str]) -> None:
        self.operations: list[AnyOperation] = []
        self.values: dict[str, Value] = {}
        self.weight_store = WeightStore()
        self.value_names, self.operation_names = Names(tensor_names), Names()
        self.hidden_states = HiddenStates(self.weight_store)
        self.state_inputs = StateInputs(has_time, state_inputs)
        self.loops = Loops()
        self.deferred_errors = DeferredErrors()
        self.findings = Findings()
        self.warnings: list[str] = []
        self.source = ""
        self._arranged: dict[tuple[tuple[str, ...], Shape, bytes, Timing], str] = {}
        self._final_states: dict[str, tuple[StateRegion, int]] = {}

    def add_input(self, name: str, shape: Shape, dtype: str = "float32") -> None:
        """Make an input of the graph a value."""
        self.values[name] = Value(shape, dtype)
        self.state_inputs.inputs.add(name)
        self.hidden_states.names.take(name)

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
        slots = [region.slot for region, _ in operation.regions(self.weights)]
        changed = slots if operation.changes_state else []
        self.deferred_errors.pass_on((*operation.inputs, *slots), (*operation.outputs, *changed))
        for name, value in zip(operation.outputs, operation.infer(inputs, self.weights), strict=True):
            check_step_shape(value.shape, f"value {name}")
            self.values[name] = value
        self.operations.append(operation)
        self.loops.paths[operation.name] = self.loops.around

    def open_loop(self, repeat: Repeat, timing: Timing) -> None:
        """Emit a Repeat; what is emitted until `loops.close` is its body."""
        self.emit(repeat, timing)
        self.loops.open(repeat.name, timing)

    def weight(self, name: str, array: ArrayLike, dtype: str = "float32") -> str:
        """Store a weight and return its name; equal weights are stored once."""
        return self.weight_store.add(name, array, dtype)

    def size_of(self, base: str) -> int:
        """Numbers in the value or state that a stream is based on."""
        return self.values[base].size if base in self.values else self._final_states[base][1]

    def dtype_of(self, tensor: Tensor) -> str:
        """Number type of a tensor's value in a step."""
        if isinstance(tensor, Signal):
            return self.values[tensor.bases[0]].dtype if tensor.bases[0] in self.values else "float32"
        return "int32" if tensor.elements.dtype.kind in "iu" else "float32"

    def of_one_sample(self, tensor: Tensor) -> Tensor:
        """A constant that begins a state: where it is the same for each sample of a frozen batch, that of one."""
        if not isinstance(tensor, Constant) or self.findings.batch < 2:
            return tensor
        for axis, extent in enumerate(tensor.extents):
            if extent == self.findings.batch and (tensor.elements == tensor.elements.take([0], axis)).all():
                axes = (*tensor.axes[:axis], (Factor(Role.BATCH, self.findings.batch),), *tensor.axes[axis + 1 :])
                return tensor.moved(axes, tensor.elements.take([0], axis))
        return tensor

    def as_stream(self, tensor: Tensor, timing: Timing) -> Signal:
        """A tensor as a stream: a constant comes with the frames of `timing`."""
        if isinstance(tensor, Constant):
            return self.constant(tensor, timing)
        assert isinstance(tensor, Signal)
        return tensor

    def constant(self, constant: Constant, timing: Timing) -> Signal:
        """A constant as a stream."""
        name = self.unique(f"{constant.name or 'constant'}:value")
        numbers, dtype = constant.elements.reshape(-1), self.dtype_of(constant)
        if dtype == "int32" and (np.abs(numbers.astype(float)) >= 2**31).any():
            raise UnsupportedModelError(f"{name} holds integers of more than 32 bits: only those of 32 bits can run")
        weight = self.weight(name, numbers, dtype)
        operation = operations.ConstantValue(
            name=self.unique_operation(name),
            inputs=(),
            outputs=(name,),
            sources=self.sources,
            weight_name=weight,
            dtype=dtype,
        )
        self.emit(operation, timing)
        return Signal.of(name, constant.axes, timing)

    def value(self, stream: Signal, shape: Shape | None = None) -> str:
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

    def value_of_any_shape(self, stream: Signal) -> str:
        """As `value`, for operations to which only the order of the elements matters."""
        base = stream.bases[0]
        self._make_readable(base, stream.timing)
        is_value = len(stream.bases) == 1 and _is_all_in_order(stream.elements, self.values[base].size)
        return base if is_value else self.value(stream)

    def _make_readable(self, base: str, timing: Timing) -> None:
        self.state_inputs.check_readable(base)
        if base not in self.values:
            region, size = self._final_states[base]
            name = self.unique_operation(f"read {base}")
            self.emit(ReadState(name=name, inputs=(), outputs=(base,), region=region, shape=(size,)), timing)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the nodes that an operation emitted now comes from."""
        return (self.source,) if self.source else ()

    # states

    def begun_state(self, name: str, initial: Tensor | None, size: int, timing: Timing) -> StateRegion:
        """A state that is reset whenever frames of `timing` come; `initial` is (size,), None for zeros."""
        dtype = "float32" if initial is None else self.dtype_of(initial)
        region = self.hidden_states.add(name, np.zeros(size, dtype))
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

    def final_state(self, name: str, region: StateRegion, size: int) -> None:
        """Say that the value `name` is what a recurrence has made of a state; it is read only if somebody needs it."""
        self._final_states[name] = (region, size)


def natural_shape(stream: Signal) -> Shape:
    """The shape of a stream's value: without the axes of time and batch, and without leading ones."""
    return without_leading_ones(tuple(width_of(axis) for axis in stream.axes if not axis or width_of(axis) > 1))


def without_leading_ones(shape: Shape) -> Shape:
    """The shape without leading extents of 1, but with at least one axis."""
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return shape or (1,)


def _is_all_in_order(elements: NDArray[Any], size: int) -> bool:
    return elements.size == size and bool((elements.ravel() == np.arange(size)).all())
