"""The part of a step that makes new states of old ones and a sample, computed as a function in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription
from edgernn.program.operations import (
    EVERY_STEP,
    AnyOperation,
    Binary,
    Dense,
    GateFunction,
    ReadState,
    Rearrange,
    Unary,
    WriteState,
)
from edgernn.program.program import Program
from edgernn.reference.runner import ReferenceRunner

Array = NDArray[np.float64]
PROBES = 5
TOLERANCE = 1e-5
BOUNDS = {"Min": "Max", "Max": "Min"}  # one after the other they clip


class CarriedState(NamedTuple):
    """A state that the step reads once, and writes once."""

    read: ReadState
    write: WriteState

    @property
    def size(self) -> int:
        """Numbers of the state."""
        return self.write.size


class ActivatedUnits(NamedTuple):
    """What an activation gives: `units` of a value, which is the function of `scale` times the value `before`."""

    value: str
    units: slice
    function: GateFunction
    before: str
    scale: float


class Affine(NamedTuple):
    """``W x + R h + b``: W (units, inputs), R (units, hidden_size), b (units,)."""

    W: Array
    R: Array
    b: Array


class CellFunction:
    """The part of the step that makes new states of old ones and a sample."""

    def __init__(self, program: Program, states: Sequence[CarriedState]) -> None:
        self.program, self.states = program, states
        self.writers = program.graph.writers
        self.old = [state.read.outputs[0] for state in states]
        self.new = [state.write.inputs[0] for state in states]
        self.size = states[0].size
        self.operations: list[AnyOperation] = []
        self.sample = self._sample(program.operations)
        self.inputs = 0 if self.sample is None else program.values[self.sample].size
        self.x: Array  # (probes, inputs)
        self.h: Array  # (states, probes, size)
        self.values: dict[str, Array]  # (probes, elements) each

    def probe(self) -> None:
        """Compute it at some points."""
        rng = np.random.default_rng(0)
        self.x = rng.uniform(-2, 2, (PROBES, self.inputs))
        self.h = rng.uniform(-1, 1, (len(self.states), PROBES, self.size))
        self.values = self.compute(self.x, self.h)

    def _sample(self, operations: Sequence[AnyOperation]) -> str | None:
        """The one value beside the old states that the new ones are computed from; keeps what computes them."""
        depends = dict.fromkeys(self.old, True)
        for other in operations:
            if not isinstance(other, ReadState):
                depends.update(dict.fromkeys(other.outputs, any(depends.get(name) for name in other.inputs)))
        outside: set[str] = set()
        needed, waiting = set(), [*self.new]
        while waiting:
            name = waiting.pop()
            operation = self.writers.get(name)
            if name in needed or name in self.old:
                continue
            if not depends.get(name) and (not _is_affine(operation) or _only_reshapes(operation)):
                outside.add(name)
                continue
            assert operation is not None
            if isinstance(operation, ReadState) or not isinstance(operation, Dense | Unary | Binary | Rearrange):
                return None
            needed.add(name)
            waiting += operation.inputs
        self.operations = [operation for operation in operations if needed.intersection(operation.outputs)]
        is_one_step = len({operation.when for operation in self.operations}) == 1
        return outside.pop() if len(outside) == 1 and is_one_step else None

    # ---- the function, computed

    def compute(self, x: Array, h: Array, given: Mapping[str, Array] | None = None) -> dict[str, Array]:
        """All values at some points; x (points, inputs), h (states, points, size); `given` values are not computed."""
        given = given or {}
        names = [self.sample, *self.old, *given]
        operations = [operation for operation in self.operations if not given.keys() & set(operation.outputs)]
        outputs = [name for operation in operations for name in operation.outputs]
        shapes = [self.program.values[name].shape for name in names if name is not None]
        used = {weight for operation in operations for weight in operation.weight_names()}
        program = Program(
            ProgramDescription(
                inputs=tuple(InputDescription(str(name), shape) for name, shape in zip(names, shapes, strict=True)),
                outputs=tuple(OutputDescription(name, name, per_frame=True) for name in outputs),
                operations=tuple(msgspec.structs.replace(operation, when=EVERY_STEP) for operation in operations),
            ),
            {name: self.program.weights[name] for name in used},
        )
        runner = ReferenceRunner(program)
        points = [x, *h, *given.values()]
        frames = [
            runner.step({str(name): rows[i] for name, rows in zip(names, points, strict=True)}) for i in range(len(x))
        ]
        result: dict[str, Array] = {str(name): np.asarray(rows) for name, rows in zip(names, points, strict=True)}
        for name in outputs:
            result[name] = np.array([(f[name] if isinstance(f, dict) else f) for f in frames]).reshape(len(x), -1)
        return result

    def agree(self, a: NDArray[Any], b: NDArray[Any]) -> bool:
        """Whether two arrays are the same numbers, as far as float32 weights can make them."""
        return a.shape == b.shape and bool(np.abs(a - b).max() <= TOLERANCE * max(1.0, float(np.abs(b).max())))

    def gates(self) -> list[ActivatedUnits]:
        """Activations of affine functions of sample and state."""
        zero = self.compute(np.zeros((1, self.inputs)), np.zeros((len(self.states), 1, self.size)))
        half = self.compute(self.x / 2, self.h / 2)
        gates = []
        for operation in self.operations:
            function, before, scale = self.activation(operation)
            if function is None or before not in half:
                continue
            is_affine = self.agree(2 * half[before], self.values[before] + zero[before])
            width = self.values[before].shape[1]
            if is_affine and width % self.size == 0:
                for begin in range(0, width, self.size):
                    units = slice(begin, begin + self.size)
                    gates.append(ActivatedUnits(operation.outputs[0], units, function, before, scale))
        return gates

    def activation(self, operation: AnyOperation | None) -> tuple[GateFunction | None, str, float]:
        """The function that an operation is, of which value, times what."""
        if isinstance(operation, Unary):
            return GateFunction(operation.function, operation.alpha, operation.beta), operation.inputs[0], 1.0
        if not isinstance(operation, Binary) or operation.constant is None:
            return None, "", 1.0
        constant, inner = self.program.weights[operation.constant], self.writers.get(operation.inputs[0])
        if constant.size != 1:
            return None, "", 1.0
        number = float(constant.reshape(-1)[0])
        if operation.function in BOUNDS and isinstance(inner, Binary) and inner.constant is not None:
            other = self.program.weights[inner.constant]
            if inner.function == BOUNDS[operation.function] and other.size == 1:
                lowest, highest = sorted((number, float(other.reshape(-1)[0])))
                return GateFunction("Clip", lowest, highest), inner.inputs[0], 1.0
        function, before, scale = self.activation(inner)
        if operation.function == "Mul" and function is not None and function.function == "Clip" and number > 0:
            limits = [None if limit is None else limit * number for limit in (function.alpha, function.beta)]
            return GateFunction("Clip", *limits), before, scale * number  # number * clip(x) = clip(number * x)
        return None, "", 1.0

    def of(self, gate: ActivatedUnits) -> Array:
        """What a gate gives at the probes, (probes, size)."""
        return self.values[gate.value][:, gate.units]

    def affine(self, before: str, units: slice, scale: float, given: Mapping[str, Array] | None = None) -> Affine:
        """Weights of `scale` times an affine value, read off at unit vectors."""
        points = 1 + self.inputs + self.size
        x, h = np.zeros((points, self.inputs)), np.zeros((len(self.states), points, self.size))
        x[1 : 1 + self.inputs] = np.eye(self.inputs)
        h[0, 1 + self.inputs :] = np.eye(self.size)
        repeated = {name: np.repeat(row[np.newaxis], points, 0) for name, row in (given or {}).items()}
        y = scale * self.compute(x, h, repeated)[before][:, units]
        slopes = (y[1:] - y[0]).T
        return Affine(slopes[:, : self.inputs], slopes[:, self.inputs :], y[0])


def _is_affine(operation: AnyOperation | None) -> bool:
    """Whether an operation in front of a cell is a part of its input weights."""
    if isinstance(operation, Dense):
        return True
    if isinstance(operation, Binary):
        return operation.constant is not None and operation.function in ("Add", "Sub", "Mul")
    return isinstance(operation, Rearrange) and len(operation.inputs) == 1


def _only_reshapes(operation: AnyOperation | None) -> bool:
    """Whether an operation makes a vector of a tensor as it is, which a cell can read."""
    return isinstance(operation, Rearrange) and operation.indices is None and len(operation.shape) == 1
