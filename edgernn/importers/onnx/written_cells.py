"""A known cell that is written out in plain operators becomes the cell: RNN, GRU in both forms, LSTM.

Keras writes such cells into loops, PyTorch for its RNNCell, GRUCell and LSTMCell. There are many ways to write the same
cell, so none is looked for. The part of the step between the old states, the sample and the new states is taken as a
function and computed in float64: its gates are the activations of affine functions of sample and state, whose weights
are read off at unit vectors, and what the cell with these weights gives must be what the function gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.errors import ModelError
from edgernn.importers.onnx.builder import ProgramBuilder
from edgernn.kernels import reference_float32
from edgernn.operations import (
    EVERY_STEP,
    AnyOperation,
    Binary,
    Dense,
    GateFunction,
    Gru,
    Lstm,
    ReadState,
    Rearrange,
    Repeat,
    Rnn,
    Unary,
    WriteState,
)
from edgernn.program import InputDescription, OutputDescription, Program, ProgramDescription
from edgernn.reference import ReferenceRunner

Array = NDArray[np.float64]
PROBES = 5
MOST_NUMBERS = 4096  # of sample and state
TOLERANCE = 1e-5
IDENTITY = GateFunction("Affine", 1.0, 0.0)


class State(NamedTuple):
    """A state that the step reads once, and writes once."""

    read: ReadState
    write: WriteState

    @property
    def size(self) -> int:
        """Numbers of the state."""
        return self.write.size


def recognise_cells(builder: ProgramBuilder, operations: Sequence[AnyOperation]) -> list[AnyOperation]:
    """The operations with every written-out cell replaced; what only it needed is left for pruning."""
    result = list(operations)
    states = _states(result)
    done: set[str] = set()
    for group in [*permutations(states, 2), *((state,) for state in states)]:
        if done.isdisjoint(state.write.region.slot for state in group):
            cell = _Function(builder, result, group).cell()
            if cell is not None:
                done.update(state.write.region.slot for state in group)
                result = _replaced(result, group, cell)
    return result


def _states(operations: Sequence[AnyOperation]) -> list[State]:
    reads: dict[tuple[str, int], list[ReadState]] = {}
    writes: dict[tuple[str, int], list[WriteState]] = {}
    for operation in operations:
        if isinstance(operation, ReadState):
            reads.setdefault((operation.region.slot, operation.region.offset), []).append(operation)
        elif isinstance(operation, WriteState):
            writes.setdefault((operation.region.slot, operation.region.offset), []).append(operation)
    states = []
    for place, found in reads.items():
        written = writes.get(place, [])
        is_in_loop = len(written) == 2 and written[0].begins  # begun before the loop, written in it
        if len(found) == 1 and (len(written) == 1 or is_in_loop) and written[-1].dtype == "float32":
            states.append(State(found[0], written[-1]))
    return states


def _replaced(
    operations: Sequence[AnyOperation], states: Sequence[State], cell: Rnn | Gru | Lstm
) -> list[AnyOperation]:
    """The cell where the first new state was made; the values of the new states come from it."""
    new = {state.write.inputs[0]: state for state in states}
    written = {state.write.name for state in states}
    place = min(i for i, operation in enumerate(operations) if new.keys() & set(operation.outputs))
    result: list[tuple[int, AnyOperation]] = []  # with the place where it was
    for i, operation in enumerate(operations):
        if i == place:
            result.append((i, cell))
            result += [(i, _read_new(cell, name, state)) for name, state in new.items() if name != cell.outputs[0]]
        if operation.name in written:
            continue
        outputs = tuple(f"{name}:written out" if name in new else name for name in operation.outputs)
        result.append((i, msgspec.structs.replace(operation, outputs=outputs)))
    return [
        msgspec.structs.replace(operation, body=sum(i < place <= i + operation.body for place, _ in result))
        if isinstance(operation, Repeat)
        else operation
        for i, operation in result
    ]


def _read_new(cell: Rnn | Gru | Lstm, name: str, state: State) -> ReadState:
    """The other new state of a cell, as a value."""
    return ReadState(
        name=f"{cell.name}:{state.read.name}",
        inputs=(),
        outputs=(name,),
        sources=cell.sources,
        when=cell.when,
        region=state.write.region,
        shape=(state.size,),
    )


class Gate(NamedTuple):
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


class _Function:
    """The part of the step that makes new states of old ones and a sample."""

    def __init__(self, builder: ProgramBuilder, operations: Sequence[AnyOperation], states: Sequence[State]) -> None:
        self.builder, self.states = builder, states
        self.writers = {name: operation for operation in operations for name in operation.outputs}
        self.old = [state.read.outputs[0] for state in states]
        self.new = [state.write.inputs[0] for state in states]
        self.size = states[0].size
        self.operations: list[AnyOperation] = []
        self.sample = self._sample(operations)

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
            if not depends.get(name) and not _is_affine(operation):
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

    def cell(self) -> Rnn | Gru | Lstm | None:
        """The cell that it is, None where it is none that is known."""
        if self.sample is None or not self.operations or any(state.size != self.size for state in self.states):
            return None
        self.inputs = self.builder.values[self.sample].size
        if self.inputs + self.size > MOST_NUMBERS:
            return None
        rng = np.random.default_rng(0)
        self.x = rng.uniform(-2, 2, (PROBES, self.inputs))
        self.h = rng.uniform(-1, 1, (len(self.states), PROBES, self.size))
        self.values = self._compute(self.x, self.h)
        gates = self._gates()
        try:
            return self._lstm(gates) if len(self.states) == 2 else self._rnn(gates) or self._gru(gates)
        except ModelError:
            return None  # numbers that no weight can be

    # ---- the function, computed

    def _compute(self, x: Array, h: Array, given: Mapping[str, Array] | None = None) -> dict[str, Array]:
        """All values at some points; x (points, inputs), h (states, points, size); `given` values are not computed."""
        given = given or {}
        names = [self.sample, *self.old, *given]
        operations = [operation for operation in self.operations if not given.keys() & set(operation.outputs)]
        outputs = [name for operation in operations for name in operation.outputs]
        shapes = [self.builder.values[name].shape for name in names if name is not None]
        used = {weight for operation in operations for weight in operation.weight_names()}
        program = Program(
            ProgramDescription(
                inputs=tuple(InputDescription(str(name), shape) for name, shape in zip(names, shapes, strict=True)),
                outputs=tuple(OutputDescription(name, name, per_frame=True) for name in outputs),
                operations=tuple(msgspec.structs.replace(operation, when=EVERY_STEP) for operation in operations),
            ),
            {name: self.builder.weights[name] for name in used},
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

    def _agree(self, a: NDArray[Any], b: NDArray[Any]) -> bool:
        return a.shape == b.shape and bool(np.abs(a - b).max() <= TOLERANCE * max(1.0, float(np.abs(b).max())))

    def _gates(self) -> list[Gate]:
        """Activations of affine functions of sample and state."""
        zero = self._compute(np.zeros((1, self.inputs)), np.zeros((len(self.states), 1, self.size)))
        half = self._compute(self.x / 2, self.h / 2)
        gates = []
        for operation in self.operations:
            function, before, scale = self._activation(operation)
            if function is None or before not in half:
                continue
            is_affine = self._agree(2 * half[before], self.values[before] + zero[before])
            width = self.values[before].shape[1]
            if is_affine and width % self.size == 0:
                for begin in range(0, width, self.size):
                    units = slice(begin, begin + self.size)
                    gates.append(Gate(operation.outputs[0], units, function, before, scale))
        return gates

    def _activation(self, operation: AnyOperation | None) -> tuple[GateFunction | None, str, float]:
        """The function that an operation is, of which value, times what."""
        if isinstance(operation, Unary):
            return GateFunction(operation.function, operation.alpha, operation.beta), operation.inputs[0], 1.0
        if not isinstance(operation, Binary) or operation.constant is None:
            return None, "", 1.0
        constant, inner = self.builder.weights[operation.constant], self.writers.get(operation.inputs[0])
        if constant.size != 1:
            return None, "", 1.0
        number = float(constant.reshape(-1)[0])
        if operation.function == "Min" and isinstance(inner, Binary) and inner.function == "Max" and inner.constant:
            lowest = self.builder.weights[inner.constant]
            if lowest.size == 1:
                return GateFunction("Clip", float(lowest.reshape(-1)[0]), number), inner.inputs[0], 1.0
        function, before, scale = self._activation(inner)
        if operation.function == "Mul" and function is not None and function.function == "Clip" and number > 0:
            bounds = [None if bound is None else bound * number for bound in (function.alpha, function.beta)]
            return GateFunction("Clip", *bounds), before, scale * number  # number * clip(x) = clip(number * x)
        return None, "", 1.0

    def _of(self, gate: Gate) -> Array:
        return self.values[gate.value][:, gate.units]

    def _affine(self, before: str, units: slice, scale: float, given: Mapping[str, Array] | None = None) -> Affine:
        """Weights of `scale` times an affine value, read off at unit vectors."""
        points = 1 + self.inputs + self.size
        x, h = np.zeros((points, self.inputs)), np.zeros((len(self.states), points, self.size))
        x[1 : 1 + self.inputs] = np.eye(self.inputs)
        h[0, 1 + self.inputs :] = np.eye(self.size)
        repeated = {name: np.repeat(row[np.newaxis], points, 0) for name, row in (given or {}).items()}
        y = scale * self._compute(x, h, repeated)[before][:, units]
        slopes = (y[1:] - y[0]).T
        return Affine(slopes[:, : self.inputs], slopes[:, self.inputs :], y[0])

    # ---- the cells

    def _rnn(self, gates: Sequence[Gate]) -> Any:
        for gate in gates:
            if self._agree(self._of(gate), self.values[self.new[0]]):
                affine = self._affine(gate.before, gate.units, gate.scale)
                if self.size > 1 and not (affine.R * (1 - np.eye(self.size))).any():
                    return None  # units that only decay need no matrix
                weights = self._weights([affine], [np.zeros(self.size)])
                return self._checked(Rnn(**self._fields(weights), activations=(gate.function,)))
        return None

    def _gru(self, gates: Sequence[Gate]) -> Gru | None:
        old, new = self.values[self.old[0]], self.values[self.new[0]]
        for z in gates:
            for name, values in self.values.items():
                for begin in range(0, values.shape[1] - self.size + 1, self.size):
                    n = values[:, begin : begin + self.size]
                    if name in (z.value, self.new[0]) or values.shape[1] % self.size:
                        continue
                    for is_turned in (False, True):
                        share = 1 - self._of(z) if is_turned else self._of(z)
                        if self._agree(share * old + (1 - share) * n, new):
                            found = self._gru_with(gates, z, is_turned, name, slice(begin, begin + self.size))
                            if found is not None:
                                return found
        return None

    def _gru_with(self, gates: Sequence[Gate], z: Gate, is_turned: bool, n: str, units: slice) -> Gru | None:
        """The GRU with these update gate and candidate, for the first reset gate with which it is one."""
        operation = self.writers.get(n)
        function, before, scale = self._activation(operation)
        if function is None:
            function, before = IDENTITY, n
        update = self._affine(z.before, z.units, z.scale)
        if is_turned:
            turned = _turned(update, z.function)
            if turned is None:
                return None
            update = turned
        for r in gates:
            if (r.value, r.units) == (z.value, z.units) or r.function != z.function:
                continue
            ones, zeros = (self._with_gate(r, value) for value in (1.0, 0.0))
            without, with_all = (self._affine(before, units, scale, {r.value: row}) for row in (zeros, ones))
            if np.abs(without.R).max() > TOLERANCE * max(1.0, float(np.abs(with_all.R).max())):
                continue
            reset = self._affine(r.before, r.units, r.scale)
            for is_after in (True, False):
                recurrent_bias = with_all.b - without.b if is_after else np.zeros(self.size)
                candidate = Affine(without.W, with_all.R, without.b)
                weights = self._weights(
                    [update, reset, candidate], [np.zeros(self.size), np.zeros(self.size), recurrent_bias]
                )
                activations = (z.function, function)
                cell = Gru(**self._fields(weights), activations=activations, linear_before_reset=is_after)
                if self._checked(cell) is not None:
                    return cell
        return None

    def _with_gate(self, gate: Gate, value: float) -> Array:
        """The row of a gate's value with its units all `value`."""
        row: Array = self.values[gate.value][0].copy()
        row[gate.units] = value
        return row

    def _lstm(self, gates: Sequence[Gate]) -> Any:
        """States are h, then c."""
        old_c, (new_h, new_c) = self.values[self.old[1]], (self.values[name] for name in self.new)
        for f, i, g in permutations(gates, 3):
            if f.function != i.function or not self._agree(self._of(f) * old_c + self._of(i) * self._of(g), new_c):
                continue
            for o in gates:
                for function, shown in self._shown_cells():
                    if o.function == f.function and self._agree(self._of(o) * shown, new_h):
                        affines = [self._affine(gate.before, gate.units, gate.scale) for gate in (i, o, f, g)]
                        weights = self._weights(affines, [np.zeros(self.size)] * 4)
                        fields = self._fields(weights) | {"c": self.states[1].write.region}
                        return self._checked(Lstm(**fields, activations=(f.function, g.function, function)))
        return None

    def _shown_cells(self) -> list[tuple[GateFunction, Array]]:
        """Functions of the new c."""
        shown = [(IDENTITY, self.values[self.new[1]])]
        for operation in self.operations:
            function, before, scale = self._activation(operation)
            if function is not None and self._agree(scale * self.values[before], self.values[self.new[1]]):
                shown.append((function, self.values[operation.outputs[0]]))
        return shown

    # ---- the cell's description

    def _weights(self, affines: Sequence[Affine], recurrent_biases: Sequence[Array]) -> dict[str, NDArray[np.float32]]:
        arrays = {
            "W": np.concatenate([affine.W for affine in affines]),
            "R": np.concatenate([affine.R for affine in affines]),
            "B": np.concatenate([*(affine.b for affine in affines), *recurrent_biases]),
        }
        return {name: array.astype(np.float32) for name, array in arrays.items()}

    def _fields(self, weights: Mapping[str, NDArray[np.float32]]) -> dict[str, Any]:
        writer = self.writers[self.new[0]]
        name = writer.name
        assert self.sample is not None
        self.found = weights
        return {
            "name": self.builder.unique_operation(f"{name}:cell"),
            "inputs": (self.sample,),
            "outputs": (self.new[0],),
            "sources": tuple(dict.fromkeys(source for operation in self.operations for source in operation.sources)),
            "when": writer.when,
            "h": self.states[0].write.region,
            **{field: self.builder.weight(f"{name}.{field}", array) for field, array in weights.items()},
        }

    def _checked(self, cell: Any) -> Any:
        """The cell, if it gives what the function gives at points far from those at which it was found."""
        rng = np.random.default_rng(1)
        x = rng.uniform(-3, 3, (2 * PROBES, self.inputs))
        h = rng.uniform(-1, 1, (len(self.states), 2 * PROBES, self.size))
        values = self._compute(x, h)
        W, R, B = (self.found[name].astype(np.float64) for name in ("W", "R", "B"))
        gates = [(gate.function, gate.alpha, gate.beta) for gate in cell.activations]
        for point in range(len(x)):
            results: tuple[NDArray[Any], ...]
            match cell:
                case Lstm():
                    results = reference_float32.lstm(x[point], h[0, point], h[1, point], W, R, B, None, gates)
                case Gru():
                    after = cell.linear_before_reset
                    results = (reference_float32.gru(x[point], h[0, point], W, R, B, gates, after),)
                case _:
                    results = (reference_float32.rnn(x[point], h[0, point], W, R, B, gates),)
            for name, result in zip(self.new, results, strict=True):
                if not self._agree(result, values[name][point]):
                    return None
        is_vector = self.builder.values[cell.inputs[0]].shape == (self.inputs,)
        return cell if is_vector else None


def _is_affine(operation: AnyOperation | None) -> bool:
    """Whether an operation in front of a cell is a part of its input weights."""
    if isinstance(operation, Dense):
        return True
    if isinstance(operation, Binary):
        return operation.constant is not None and operation.function in ("Add", "Sub", "Mul")
    return isinstance(operation, Rearrange) and len(operation.inputs) == 1


def _turned(affine: Affine, function: GateFunction) -> Affine | None:
    """The affine function of which the activation is one minus that of the given; None where there is none."""
    W, R, b = -affine.W, -affine.R, -affine.b
    if function.function in ("Sigmoid", "HardSigmoid") and function.beta in (None, 0.5):
        return Affine(W, R, b)
    if function.function == "Clip" and np.allclose((function.alpha or 0.0, function.beta or 0.0), (0.0, 1.0)):
        return Affine(W, R, 1 + b)
    return None
