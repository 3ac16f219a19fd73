"""ONNX RNN, GRU and LSTM become cells."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.search.axes import WrongAxisError
from edgernn.importers.onnx.streams.alignment import aligned
from edgernn.importers.onnx.streams.sequence import is_time, join
from edgernn.importers.onnx.streams.timing import NeedsWindowError
from edgernn.importers.onnx.streams.values import (
    Constant,
    Role,
    Signal,
    Tensor,
    features,
    has_role,
    is_features,
    width_of,
)
from edgernn.program.operations import (
    UNARY_FUNCTIONS,
    GateFunction,
    Gru,
    Lstm,
    PutFrame,
    Repeat,
    Rnn,
    StateRegion,
    TakeFrame,
)

CELLS: dict[str, type[Rnn | Gru | Lstm]] = {"RNN": Rnn, "GRU": Gru, "LSTM": Lstm}

# activations that ONNX allows in recurrent operators, in lower case; models write them in any
ACTIVATIONS = {
    name.lower(): name
    for name in (
        "Affine",
        "Elu",
        "HardSigmoid",
        "LeakyRelu",
        "Relu",
        "ScaledTanh",
        "Sigmoid",
        "Softplus",
        "Softsign",
        "Tanh",
        "ThresholdedRelu",
    )
}
TAKES_BOTH = {"Affine", "ScaledTanh"}  # their constants have no defaults


DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}  # is it reversed?


def recurrent(call: Call) -> Results:
    """RNN, GRU or LSTM: over time one cell, over features of a frame, or of a window, a Repeat of one."""
    node = call.node
    is_batch_first = bool(node.integer("layout", 0))
    direction = node.word("direction", "forward")
    if direction not in DIRECTIONS:
        raise node.malformed(f"has direction = {direction!r}")
    X = call.stream(0)
    if X.rank != 3:
        raise node.malformed(f"has an input X of {X.rank} axes, it must have 3")
    X = _swapped(X) if is_batch_first else X
    _check_axes(call, X)
    layer = _Layer(call, X, DIRECTIONS[direction], is_batch_first)
    sides = [layer.side(place) for place in range(len(layer.directions))]
    Y = _stacked(call, [side[0] for side in sides], 1)
    last = [_stacked(call, list(states), 0) for states in zip(*(side[1:] for side in sides), strict=True)]
    if is_batch_first:
        Y = Y.moved(tuple(Y.axes[i] for i in (2, 0, 1, 3)), Y.elements.transpose(2, 0, 1, 3))
        last = [_swapped(state) for state in last]
    return (Y, *last)


def _stacked(call: Call, streams: list[Signal], place: int) -> Signal:
    """Streams of equal axes beside each other along a new axis."""
    apart = [x.moved((*x.axes[:place], (), *x.axes[place:]), np.expand_dims(x.elements, place)) for x in streams]
    axes = (*streams[0].axes[:place], features(len(streams)), *streams[0].axes[place:])
    return apart[0] if len(apart) == 1 else join(call.builder, apart, place, axes)


def _check_axes(call: Call, X: Signal) -> None:
    """The operator must run over time, or over the features of a frame, and read features."""
    time, batch, last = X.axes
    is_inner = bool(time) and is_features(time)
    if not is_time(time) and time and not is_inner:
        raise WrongAxisError(f"{call.node!r} runs over an axis that is not time: say which axis is, with time_axis=")
    if call.builder.state_inputs.has_time and not call.options.inner_sequences:
        if is_inner:
            raise WrongAxisError(f"{call.node!r} runs over an axis that is not time: say which it is, with time_axis=")
        if any(factor.role is not Role.BATCH for factor in batch):
            raise WrongAxisError(f"{call.node!r} runs several sequences side by side within one frame")
    if not is_features(last):
        raise WrongAxisError(f"{call.node!r} has time or the batch where the features of a frame should be")
    if has_role(time, Role.TIME) and has_role(batch, Role.TIME):
        raise WrongAxisError(f"{call.node!r} has time on two axes")


def _lengths(call: Call, X: Signal) -> list[int] | None:
    """The length of each sequence that lies beside others in a frame; None where all are as long as X."""
    if not call.has(4):
        return None
    given = call.inputs[4]
    lengths = list(given.elements.ravel()) if isinstance(given, Constant) else []
    if lengths and all(length == X.extents[0] for length in lengths):
        return None
    count, steps = X.elements.shape[1], X.elements.shape[0]
    if lengths and has_role(X.axes[0], Role.TIME):
        raise NeedsWindowError(f"{call.node!r} has sequence_lens shorter than the sequence")
    if len(lengths) != count and len(set(lengths)) == 1:
        lengths = lengths[:1] * count
    if len(lengths) != count or not all(isinstance(n, int | np.integer) and 1 <= n <= steps for n in lengths):
        raise call.node.unsupported(
            f"has sequence_lens ({call.node.inputs[4]}) that vary, or that differ over the batch: set the input that "
            "gives them with fixed={'NAME': LENGTH} (--set NAME=LENGTH), or export the model without packed sequences"
        )
    return [int(length) for length in lengths]


class _Layer:
    """An operator, with its input as (time, batch, features)."""

    def __init__(self, call: Call, X: Signal, directions: tuple[bool, ...], is_batch_first: bool) -> None:
        self.call, self.X, self.directions, self.is_batch_first = call, X, directions, is_batch_first
        self.lengths = _lengths(call, X)
        self.cell = CELLS[call.node.operator]
        self.first = next(filter(None, call.node.outputs), "")
        self.letters = "hc" if self.cell is Lstm else "h"
        W, R = (self._weights(index, name, 3) for index, name in ((1, "W"), (2, "R")))
        self.hidden_size = R.shape[-1]
        if call.node.integer("hidden_size", self.hidden_size) != self.hidden_size:
            raise call.node.malformed(f"has another hidden_size than its R of shape {R.shape}")
        self.weights = {"W": W, "R": R}
        if call.has(3):
            self.weights["B"] = self._weights(3, "B", 2)
        if call.has(7) and self.cell is Lstm:
            self.weights["P"] = self._weights(7, "P", 2)
        self.fields: dict[str, Any] = {"clip": call.node.number("clip", None)}
        if self.cell is Lstm:
            self.fields["input_forget"] = bool(call.node.integer("input_forget", 0))
        if self.cell is Gru:
            self.fields["linear_before_reset"] = _linear_before_reset(call)
        self.activations = _activations(call, self.cell, len(directions)) if call.node.has("activations") else ()

    def _weights(self, index: int, name: str, rank: int) -> NDArray[Any]:
        numbers = self.call.array(index, name)
        if numbers.ndim != rank or numbers.shape[0] != len(self.directions) or numbers.dtype.kind != "f":
            raise self.call.node.malformed(f"has {name} of shape {numbers.shape} and type {numbers.dtype}")
        return numbers

    def side(self, place: int) -> list[Signal]:
        """One direction: Y (time, batch, hidden_size), then the last states (batch, hidden_size)."""
        builder, node = self.call.builder, self.call.node
        tag = ":reverse" if len(self.directions) > 1 and self.directions[place] else ""
        fields: dict[str, Any] = {
            name: builder.weight(f"{node.name}{tag}.{name}", numbers[place]) for name, numbers in self.weights.items()
        }
        fields |= self.fields
        if self.activations:
            count = self.cell.functions
            fields["activations"] = self.activations[place * count : (place + 1) * count]
        rows = [self._row(place, row, tag, fields) for row in range(self.X.elements.shape[1])]
        time, batch, _ = self.X.axes
        H = features(self.hidden_size)
        return [
            join(builder, [row[0] for row in rows], 1, (time, batch, H)),
            *(join(builder, list(states), 0, (batch, H)) for states in zip(*(row[1:] for row in rows), strict=True)),
        ]

    def _row(self, place: int, row: int, tag: str, fields: dict[str, Any]) -> list[Signal]:
        """One sequence of those that lie side by side in a frame: Y (time, 1, hidden_size), last states (1, H)."""
        x = self.X.moved((self.X.axes[0], (), self.X.axes[2]), self.X.elements[:, row : row + 1])
        tag += f":{row}" if row else ""
        is_reversed, steps = self.directions[place], self.X.elements.shape[0]
        if has_role(x.axes[0], Role.TIME) or (not x.axes[0] and not x.per_sequence and not self.call.options.is_window):
            if is_reversed and x.axes[0]:
                raise NeedsWindowError(f"{self.call.node!r} reads the sequence from its end")
            if x.axes[0] or not self._begins_from_signals(place, row):
                return self._over_time(place, row, tag, fields, x)
        length = steps if self.lengths is None else self.lengths[row]
        if length == steps:
            return self._over_features(place, row, tag, fields, x, is_reversed, steps)
        short = x.moved((features(length), *x.axes[1:]), x.elements[:length])
        Y, *last = self._over_features(place, row, tag, fields, short, is_reversed, length)
        return [self._filled(Y, steps), *last]

    def _begins_from_signals(self, place: int, row: int) -> bool:
        """Whether a single step begins from states that the graph keeps elsewhere: packed, or carried by a loop."""
        initial = [self._initial(place, row, letter) for letter in self.letters]
        return any(
            isinstance(x, Signal) and not x.per_sequence and not self.call.builder.state_inputs.can_bind(x)
            for x in initial
        )

    def _filled(self, Y: Signal, steps: int) -> Signal:
        """Y (length, 1, hidden_size) with zeros behind it."""
        missing = steps - Y.elements.shape[0]
        zero = self.call.builder.constant(Constant.of(np.zeros(1, np.float32)), Y.timing)
        zeros = zero.moved((features(missing), *Y.axes[1:]), np.zeros((missing, *Y.elements.shape[1:]), np.int64))
        return join(self.call.builder, [Y, zeros], 0, (features(steps), *Y.axes[1:]))

    def _over_time(self, place: int, row: int, tag: str, fields: dict[str, Any], x: Signal) -> list[Signal]:
        """The cell runs once for each frame; its states last."""
        call, builder, H = self.call, self.call.builder, features(self.hidden_size)
        names = self._names(tag)
        per_sequence = x.timing.as_per_sequence() if has_role(x.axes[0], Role.TIME) else x.timing
        is_plain = x.timing.period == 1 and not x.timing.tail_steps
        last_names = {**names, "h": names["h"] if is_plain else builder.unique(f"{names['h']}:last")}
        regions: dict[str, Any] = {
            letter: self._state(place, row, letter, tag, last_names[letter]) for letter in self.letters
        }
        builder.emit(
            self.cell(
                name=builder.unique_operation(call.node.name),
                inputs=(builder.value(x, (x.elements.size,)),),
                outputs=(names["h"],),
                sources=builder.sources,
                **regions,
                **fields,
            ),
            x.timing,
        )
        for letter in self.letters:
            if last_names[letter] != names["h"]:
                builder.final_state(last_names[letter], regions[letter], self.hidden_size)
        last = [Signal.of(last_names[letter], ((), H), per_sequence) for letter in self.letters]
        return [Signal.of(names["h"], (x.axes[0], (), H), x.timing), *last]

    def _over_features(
        self, place: int, row: int, tag: str, fields: dict[str, Any], x: Signal, is_reversed: bool, steps: int
    ) -> list[Signal]:
        """The cell runs over all that lies along the first axis, from its initial state, within one step."""
        builder, node, H = self.call.builder, self.call.node, features(self.hidden_size)
        names = self._names(tag)
        initial = {letter: self._initial(place, row, letter) for letter in self.letters}
        begun = {letter: tensor for letter, tensor in initial.items() if isinstance(tensor, Signal)}
        x, *others = aligned(builder, [x, *begun.values()], repr(node))
        initial |= dict(zip(begun, others, strict=True))
        regions: dict[str, Any] = {
            letter: builder.begun_state(f"{self.first}{tag}.{letter}", tensor, self.hidden_size, x.timing)
            for letter, tensor in initial.items()
        }
        loop = builder.unique_operation(f"{node.name}:rounds")
        frame, frames = builder.unique(f"{names['h']}:frame"), builder.unique(f"{names['h']}:frames")
        value = builder.value(x, (steps, x.elements.shape[2]))
        common: dict[str, Any] = {"sources": builder.sources}
        cell = self.cell(
            name=builder.unique_operation(node.name),
            inputs=(frame,),
            outputs=(names["h"],),
            **common,
            **regions,
            **fields,
        )
        builder.open_loop(Repeat(name=loop, inputs=(), outputs=(), count=steps, **common), x.timing)
        for operation in (
            TakeFrame(
                name=builder.unique_operation(f"{loop} take"),
                inputs=(value,),
                outputs=(frame,),
                loop=loop,
                reverse=is_reversed,
                **common,
            ),
            cell,
            PutFrame(
                name=builder.unique_operation(f"{loop} put"),
                inputs=(names["h"],),
                outputs=(frames,),
                loop=loop,
                count=steps,
                reverse=is_reversed,
                **common,
            ),
        ):
            builder.emit(operation, x.timing)
        builder.loops.close()
        Y = Signal.of(frames, (x.axes[0], (), H), x.timing)
        newest = Y.elements[0 if is_reversed else -1]
        last = [Y.moved(((), H), newest)]
        if self.cell is Lstm:
            builder.final_state(names["c"], regions["c"], self.hidden_size)
            last.append(Signal.of(names["c"], ((), H), x.timing))
        return [Y, *last]

    def _names(self, tag: str) -> dict[str, str]:
        """Values of the new states: the graph's own names where they are the same numbers."""
        builder, outputs = self.call.builder, self.call.node.outputs
        is_alone = len(self.directions) == 1 and self.X.elements.shape[1] == 1
        h = next(filter(None, outputs[:2]), "") if is_alone and not tag else ""
        c = next(iter(outputs[2:]), "") if is_alone and not tag else ""
        return {
            "h": h or builder.unique(f"{self.first}{tag}:h"),
            "c": c or (builder.unique(f"{self.first}{tag}:c") if self.cell is Lstm else ""),
        }

    def _initial(self, place: int, row: int, letter: str) -> Tensor | None:
        """What a row of the state begins from, (hidden_size,); None for zeros."""
        call, index, name = self.call, {"h": 5, "c": 6}[letter], f"initial_{letter}"
        if not call.has(index):
            return None
        initial = call.tensor(index)
        if initial.rank != 3 or width_of(initial.axes[-1]) != self.hidden_size:
            raise call.node.malformed(f"has an {name} of shape {initial.extents} for {self.hidden_size} units")
        initial = _swapped(initial) if self.is_batch_first else initial
        if isinstance(initial, Constant):
            return Constant.of(self._constant_state(name, place, row, initial))
        directions, batch, _ = initial.elements.shape
        if directions != len(self.directions) or batch not in (1, self.X.elements.shape[1]):
            raise call.node.malformed(f"has an {name} of shape {initial.extents}")
        H = features(self.hidden_size)
        return initial.moved((H,), initial.elements[place, row if batch > 1 else 0])

    def _constant_state(self, name: str, place: int, row: int, initial: Constant) -> NDArray[Any]:
        """The state of a row; if all samples of a batch are one row, it must be the same for all of them."""
        call, numbers = self.call, initial.elements
        if numbers.shape[0] != len(self.directions) or numbers.dtype.kind != "f":
            raise call.node.malformed(f"has an {name} of shape {numbers.shape} and type {numbers.dtype}")
        samples = numbers[place]
        if len(samples) == self.X.elements.shape[1]:
            return np.asarray(samples[row], np.float32)
        if not (samples == samples[:1]).all():
            raise call.node.unsupported(f"begins each sample of the batch from another {name}: export it with batch 1")
        return np.asarray(samples[0], np.float32)

    def _state(self, place: int, row: int, letter: str, tag: str, last: str) -> StateRegion:
        """Where a state lives that lasts: in a state input of the graph, or in one of its own."""
        call, initial, name = self.call, self._initial(place, row, letter), f"{self.first}{tag}.{letter}"
        if initial is None:
            return call.builder.hidden_states.add(name, np.zeros(self.hidden_size, np.float32))
        if isinstance(initial, Constant):
            return call.builder.hidden_states.add(name, initial.elements)
        if isinstance(initial, Signal):
            region = call.builder.state_inputs.bind(initial, last)
            if region is not None:
                return region
            if initial.per_sequence:
                raise NeedsWindowError(f"{call.node!r} begins from a state that the end of a sequence gives")
        raise call.node.unsupported(
            f"computes its initial_{letter} from other signals; it must be constant, or an input of the model as it is"
        )


def _linear_before_reset(call: Call) -> bool:
    given = bool(call.node.integer("linear_before_reset", 0))
    if given or not call.graph.producer.lower().startswith("pytorch"):
        return given
    if call.options.assume_torch_gru:
        return True
    call.builder.warnings.append(
        f"{call.node!r} comes from PyTorch but says linear_before_reset = 0, which PyTorch never computes: older "
        "exporters forget the attribute. If its outputs differ from PyTorch's, load it with assume_torch_gru=True"
    )
    return False


def _activations(call: Call, cell: type[Rnn | Gru | Lstm], directions: int) -> tuple[GateFunction, ...]:
    """The gates' functions of all directions; constants are handed out in order to the functions that take any."""
    node = call.node
    names = node.words("activations") or []
    alphas, betas = (iter(node.numbers(f"activation_{name}") or ()) for name in ("alpha", "beta"))
    if len(names) != cell.functions * directions:
        raise node.malformed(f"has {len(names)} activations, needs {cell.functions * directions}")
    gates = []
    for name in names:
        function = ACTIVATIONS.get(name.lower())
        if function is None:
            raise node.unsupported(f"has the activation {name}: ONNX knows {', '.join(ACTIVATIONS.values())}")
        constants = []
        for given, default in zip((alphas, betas), UNARY_FUNCTIONS.get(function, (None, None)), strict=True):
            takes_one = function in TAKES_BOTH or default is not None
            constants.append(next(given, default) if takes_one else None)
        if function in TAKES_BOTH and None in constants:
            raise node.malformed(f"has the activation {function} without its activation_alpha and activation_beta")
        gates.append(GateFunction(function, *constants))
    return tuple(gates)


def _swapped(x: Any) -> Any:
    """The first two axes exchanged."""
    first, second, *others = x.axes
    return x.moved((second, first, *others), x.elements.swapaxes(0, 1))
