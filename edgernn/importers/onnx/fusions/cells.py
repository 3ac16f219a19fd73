"""A known cell that is written out in plain operators becomes the cell: RNN, GRU in both forms, LSTM.

Keras writes such cells into loops, PyTorch for its RNNCell, GRUCell and LSTMCell. There are many ways to write the same
cell, so none is looked for. The part of the step between the old states, the sample and the new states is taken as a
function and computed in float64: its gates are the activations of affine functions of sample and state, whose weights
are read off at unit vectors, and what the cell with these weights gives must be what the function gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from itertools import islice, permutations
from operator import or_
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.errors import ModelError
from edgernn.importers.onnx.fusions.cell_function import (
    TOLERANCE,
    ActivatedUnits,
    Affine,
    Array,
    CarriedState,
    CellFunction,
)
from edgernn.importers.onnx.fusions.log import FusionLog
from edgernn.importers.onnx.streams.names import Names
from edgernn.importers.onnx.streams.weights import WeightStore
from edgernn.program.operations import (
    AnyOperation,
    GateFunction,
    Gru,
    Lstm,
    ReadState,
    Rnn,
    WriteState,
)
from edgernn.program.program import Program
from edgernn.program.trees import rewritten
from edgernn.reference import float32 as reference_float32

PROBES = 5
MAX_NUMBERS = 4096  # of sample and state
MAX_GROUPS = 256  # that are tried; a probe takes milliseconds
IDENTITY = GateFunction("Affine", 1.0, 0.0)


def fuse_cells(program: Program, store: WeightStore, names: Names, log: FusionLog) -> Program:
    """The program with every written-out cell replaced; what only it needed is left for dead code elimination.

    The cells' weights are added to `store`, their names to `names`.
    """
    done: set[str] = set()
    others: list[_Candidate] = []
    for group in islice(_groups(program.operations, _states(program.operations)), MAX_GROUPS):
        candidate = _Candidate(program, group, store, names)
        if not done.isdisjoint(candidate.slots):
            continue
        cell = candidate.cell()
        if cell is None:
            others.append(candidate)
            continue
        log.fuse(f"{type(cell).__name__} cell", cell)
        done |= candidate.slots
        weights = {name: store.arrays[name] for name in cell.weight_names()}
        program = program.with_operations(_replaced(program, group, cell), weights)
    for candidate in others:
        if done.isdisjoint(candidate.slots):
            candidate.explain(log)
    return program


def _groups(operations: Sequence[AnyOperation], states: Sequence[CarriedState]) -> Iterator[tuple[CarriedState, ...]]:
    """States that one cell may have: two that need each other, h and c of an LSTM, and each by itself."""
    needs = {state.read.outputs[0]: 1 << i for i, state in enumerate(states)}  # value -> states that it is made of
    for operation in operations:
        made_of = reduce(or_, (needs.get(name, 0) for name in operation.inputs), 0)
        for name in operation.outputs:
            needs.setdefault(name, made_of)
    new = [needs.get(state.write.inputs[0], 0) for state in states]
    for i, j in permutations(range(len(states)), 2):
        if new[i] >> j & 1 and new[j] >> i & 1:
            yield states[i], states[j]
    yield from ((state,) for state in states)


def _states(operations: Sequence[AnyOperation]) -> list[CarriedState]:
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
            states.append(CarriedState(found[0], written[-1]))
    return states


def _replaced(program: Program, states: Sequence[CarriedState], cell: Rnn | Gru | Lstm) -> tuple[AnyOperation, ...]:
    """The cell where the first new state was made; the values of the new states come from it."""
    new = {state.write.inputs[0]: state for state in states}
    written = {state.write.name for state in states}
    first = next(operation for operation in program.operations if new.keys() & set(operation.outputs))

    def replaced(operation: AnyOperation) -> list[AnyOperation]:
        result: list[AnyOperation] = []
        if operation is first:
            result = [cell, *(_read_new(cell, name, state) for name, state in new.items() if name != cell.outputs[0])]
        if operation.name not in written:
            outputs = tuple(f"{name}:written out" if name in new else name for name in operation.outputs)
            result.append(msgspec.structs.replace(operation, outputs=outputs))
        return result

    return rewritten(program.description.operations, replaced)


def _read_new(cell: Rnn | Gru | Lstm, name: str, state: CarriedState) -> ReadState:
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


class _Candidate(CellFunction):
    """A function that may be a cell."""

    def __init__(self, program: Program, states: Sequence[CarriedState], store: WeightStore, names: Names) -> None:
        super().__init__(program, states)
        self.store, self.names = store, names
        self.reason = ""  # why it is no cell, once it looks like one

    @property
    def slots(self) -> set[str]:
        """Names of its states."""
        return {state.write.region.slot for state in self.states}

    def explain(self, log: FusionLog) -> None:
        """Log why it is no cell, if it has gates."""
        writer = self.writers.get(self.new[0])
        if self.reason and writer is not None:
            log.miss("LSTM cell" if len(self.states) == 2 else "RNN or GRU cell", writer, self.reason)

    def cell(self) -> Rnn | Gru | Lstm | None:
        """The cell that it is, None where it is none that is known."""
        if self.sample is None or not self.operations or any(state.size != self.size for state in self.states):
            return None
        if self.inputs + self.size > MAX_NUMBERS:
            self.reason = f"sample and state have {self.inputs + self.size} numbers, at most {MAX_NUMBERS} are tried"
            return None
        self.probe()
        gates = self.gates()
        if gates:
            functions = ", ".join(dict.fromkeys(gate.function.function for gate in gates))
            wanted = "c = f c + i g" if len(self.states) == 2 else "h = z h + (1 - z) n"
            self.reason = f"no choice of its gates ({functions}) gives {wanted}"
        try:
            return self._lstm(gates) if len(self.states) == 2 else self._rnn(gates) or self._gru(gates)
        except ModelError as error:
            self.reason = f"its weights are no numbers: {error}"
            return None

    # ---- the cells

    def _rnn(self, gates: Sequence[ActivatedUnits]) -> Any:
        for gate in gates:
            if self.agree(self.of(gate), self.values[self.new[0]]):
                affine = self.affine(gate.before, gate.units, gate.scale)
                if self.size > 1 and not (affine.R * (1 - np.eye(self.size))).any():
                    self.reason = "its units only decay, each by itself: they need no recurrent matrix"
                    return None
                weights = self._weights([affine], [np.zeros(self.size)])
                return self._checked(Rnn(**self._fields(weights), activations=(gate.function,)))
        return None

    def _gru(self, gates: Sequence[ActivatedUnits]) -> Gru | None:
        for z, is_turned, n, units in self._mixtures(gates):
            self.reason = f"h = z h + (1 - z) n with z = {z.value} and n = {n}, but no reset gate fits"
            found = self._gru_with(gates, z, is_turned, n, units)
            if found is not None:
                return found
        return None

    def _mixtures(self, gates: Sequence[ActivatedUnits]) -> Iterator[tuple[ActivatedUnits, bool, str, slice]]:
        """Gates z and units n of values with ``h = z h + (1 - z) n``, or turned, ``h = (1 - z) h + z n``."""
        old, new = self.values[self.old[0]], self.values[self.new[0]]
        for z in gates:
            for name, values in self.values.items():
                if name in (z.value, self.new[0]) or values.shape[1] % self.size:
                    continue
                for begin in range(0, values.shape[1] - self.size + 1, self.size):
                    units = slice(begin, begin + self.size)
                    for is_turned in (False, True):
                        share = 1 - self.of(z) if is_turned else self.of(z)
                        if self.agree(share * old + (1 - share) * values[:, units], new):
                            yield z, is_turned, name, units

    def _gru_with(
        self, gates: Sequence[ActivatedUnits], z: ActivatedUnits, is_turned: bool, n: str, units: slice
    ) -> Gru | None:
        """The GRU with these update gate and candidate, for the first reset gate with which it is one."""
        operation = self.writers.get(n)
        function, before, scale = self.activation(operation)
        if function is None:
            function, before = IDENTITY, n
        update = self.affine(z.before, z.units, z.scale)
        if is_turned:
            turned = _turned(update, z.function)
            if turned is None:
                return None
            update = turned
        for r in gates:
            if (r.value, r.units) == (z.value, z.units) or r.function != z.function:
                continue
            ones, zeros = (self._with_gate(r, value) for value in (1.0, 0.0))
            without, with_all = (self.affine(before, units, scale, {r.value: row}) for row in (zeros, ones))
            if np.abs(without.R).max() > TOLERANCE * max(1.0, float(np.abs(with_all.R).max())):
                continue
            reset = self.affine(r.before, r.units, r.scale)
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

    def _with_gate(self, gate: ActivatedUnits, value: float) -> Array:
        """The row of a gate's value with its units all `value`."""
        row: Array = self.values[gate.value][0].copy()
        row[gate.units] = value
        return row

    def _lstm(self, gates: Sequence[ActivatedUnits]) -> Any:
        """States are h, then c."""
        old_c, (new_h, new_c) = self.values[self.old[1]], (self.values[name] for name in self.new)
        for f, i, g in permutations(gates, 3):
            if f.function != i.function or not self.agree(self.of(f) * old_c + self.of(i) * self.of(g), new_c):
                continue
            self.reason = f"c = f c + i g with f = {f.value}, i = {i.value}, g = {g.value}, but no output gate fits"
            for o in gates:
                for function, shown in self._shown_cells():
                    if o.function == f.function and self.agree(self.of(o) * shown, new_h):
                        affines = [self.affine(gate.before, gate.units, gate.scale) for gate in (i, o, f, g)]
                        weights = self._weights(affines, [np.zeros(self.size)] * 4)
                        fields = self._fields(weights) | {"c": self.states[1].write.region}
                        return self._checked(Lstm(**fields, activations=(f.function, g.function, function)))
        return None

    def _shown_cells(self) -> list[tuple[GateFunction, Array]]:
        """Functions of the new c."""
        shown = [(IDENTITY, self.values[self.new[1]])]
        for operation in self.operations:
            function, before, scale = self.activation(operation)
            if function is not None and self.agree(scale * self.values[before], self.values[self.new[1]]):
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
            "name": self.names.unique(f"{name}:cell"),
            "inputs": (self.sample,),
            "outputs": (self.new[0],),
            "sources": tuple(dict.fromkeys(source for operation in self.operations for source in operation.sources)),
            "when": writer.when,
            "h": self.states[0].write.region,
            **{field: self.store.add(f"{name}.{field}", array) for field, array in weights.items()},
        }

    def _checked(self, cell: Any) -> Any:
        """The cell, if it gives what the function gives at points far from those at which it was found."""
        rng = np.random.default_rng(1)
        x = rng.uniform(-3, 3, (2 * PROBES, self.inputs))
        h = rng.uniform(-1, 1, (len(self.states), 2 * PROBES, self.size))
        values = self.compute(x, h)
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
                if not self.agree(result, values[name][point]):
                    self.reason = f"a {type(cell).__name__} with its weights gives other numbers far from the origin"
                    return None
        shape = self.program.values[cell.inputs[0]].shape
        if shape != (self.inputs,):
            self.reason = f"its sample has the shape {list(shape)}, a cell reads a vector"
            return None
        return cell


def _turned(affine: Affine, function: GateFunction) -> Affine | None:
    """The affine function of which the activation is one minus that of the given; None where there is none."""
    W, R, b = -affine.W, -affine.R, -affine.b
    if function.function in ("Sigmoid", "HardSigmoid") and function.beta in (None, 0.5):
        return Affine(W, R, b)
    if function.function == "Clip" and np.allclose((function.alpha or 0.0, function.beta or 0.0), (0.0, 1.0)):
        return Affine(W, R, 1 + b)
    return None
