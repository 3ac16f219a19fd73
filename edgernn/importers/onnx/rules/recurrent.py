"""ONNX RNN, GRU and LSTM, one direction, become one cell each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.time_axis import WrongAxisError
from edgernn.importers.onnx.values import (
    Constant,
    Role,
    Stream,
    features,
    has_role,
    is_features,
    width_of,
)
from edgernn.operations import UNARY_FUNCTIONS, GateFunction, Gru, Lstm, Rnn, StateRegion

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


def recurrent(call: Call) -> Results:
    """RNN, GRU or LSTM."""
    node = call.node
    cell = CELLS[node.operator]
    _refuse_directions(call)
    is_batch_first = bool(node.integer("layout", 0))
    X = call.stream(0)
    if X.rank != 3:
        raise node.malformed(f"has an input X of {X.rank} axes, it must have 3")
    X = _swapped(X) if is_batch_first else X
    time, batch, _ = X.axes
    _check_axes(call, X)
    first = next(filter(None, node.outputs), "")
    h_name = next(filter(None, node.outputs[:2]), "") or call.builder.unique(f"{first}:h")
    fields = _weights(call, cell)
    hidden_size = call.builder.weights[fields["R"]].shape[1]
    fields["h"] = _state(call, 5, "h", first, h_name, hidden_size, is_batch_first)
    if cell is Lstm:
        c_name = next(iter(node.outputs[2:]), "") or call.builder.unique(f"{first}:c")
        fields["c"] = _state(call, 6, "c", first, c_name, hidden_size, is_batch_first)
        fields["input_forget"] = bool(node.integer("input_forget", 0))
        call.builder.final_state(c_name, fields["c"], hidden_size)
    if node.has("activations"):
        fields["activations"] = _activations(call, cell)
    if cell is Gru:
        fields["linear_before_reset"] = _linear_before_reset(call)
    call.builder.emit(
        cell(
            name=call.builder.unique_operation(node.name),
            inputs=(call.builder.value(X, (X.elements.size,)),),
            outputs=(h_name,),
            sources=(node.name,),
            clip=node.number("clip", None),
            **fields,
        )
    )
    whole = has_role(time, Role.TIME)
    H = features(hidden_size)
    Y = Stream.of(h_name, (time, (), batch, H))
    last = [Stream.of(h_name, ((), batch, H), whole=whole)]
    if cell is Lstm:
        last.append(Stream.of(c_name, ((), batch, H), whole=whole))
    if is_batch_first:
        Y = Y.moved((batch, time, (), H), Y.elements.transpose(2, 0, 1, 3))
        last = [_swapped(state) for state in last]
    return (Y, *last)


def _refuse_directions(call: Call) -> None:
    direction = call.node.word("direction", "forward")
    if direction in {"reverse", "bidirectional"}:
        raise call.node.unsupported(
            f"has direction = {direction}, so it reads the sequence from its end: train with forward layers only"
        )
    if direction != "forward":
        raise call.node.malformed(f"has direction = {direction!r}")


def _check_axes(call: Call, X: Stream) -> None:
    """The operator must run over time, side by side for each sample of the batch."""
    time, batch, last = X.axes
    if not all(factor.role is Role.TIME for factor in time):
        raise WrongAxisError(f"{call.node!r} runs over an axis that is not time: say which axis is, with time_axis=")
    if any(factor.role is not Role.BATCH for factor in batch):
        raise WrongAxisError(
            f"{call.node!r} runs several sequences side by side within one frame: only one is supported"
        )
    if not is_features(last):
        raise WrongAxisError(f"{call.node!r} has time or the batch where the features of a frame should be")
    if not time and X.whole:
        raise call.node.unsupported("runs over one frame made of a whole sequence: such a decoder is not supported")
    if call.has(4):
        lengths = call.inputs[4]
        if not isinstance(lengths, Constant) or any(length != X.extents[0] for length in lengths.elements.ravel()):
            raise call.node.unsupported(
                "has sequence_lens: a stream ends where it ends; export the model without lengths (no packed sequences)"
            )


def _weights(call: Call, cell: type[Rnn | Gru | Lstm]) -> dict[str, Any]:
    """Names of the stored weights by the field of the cell."""
    node, builder = call.node, call.builder
    W, R = (_one_direction(call, index, name, 3) for index, name in ((1, "W"), (2, "R")))
    hidden_size = R.shape[-1]
    if node.integer("hidden_size", hidden_size) != hidden_size:
        raise node.malformed(f"has another hidden_size than its R of shape {R.shape}")
    fields: dict[str, Any] = {"W": builder.weight(f"{node.name}.W", W), "R": builder.weight(f"{node.name}.R", R)}
    if call.has(3):
        fields["B"] = builder.weight(f"{node.name}.B", _one_direction(call, 3, "B", 2))
    if call.has(7) and cell is Lstm:
        fields["P"] = builder.weight(f"{node.name}.P", _one_direction(call, 7, "P", 2))
    return fields


def _one_direction(call: Call, index: int, name: str, rank: int) -> NDArray[Any]:
    numbers = call.array(index, name)
    if numbers.ndim != rank or numbers.shape[0] != 1 or numbers.dtype.kind != "f":
        raise call.node.malformed(f"has {name} of shape {numbers.shape} and type {numbers.dtype}")
    return np.asarray(numbers[0])


def _state(
    call: Call, index: int, letter: str, first: str, last: str, hidden_size: int, is_batch_first: bool
) -> StateRegion:
    """Where the state lives: in a state input of the graph, or in one of its own."""
    name, initial = f"initial_{letter}", call.inputs[index] if call.has(index) else None
    if initial is None:
        return call.builder.hidden_state(f"{first}.{letter}", np.zeros(hidden_size, np.float32))
    if initial.rank != 3 or width_of(initial.axes[-1]) != hidden_size:
        raise call.node.malformed(f"has an {name} of shape {initial.extents} for a hidden size of {hidden_size}")
    initial = _swapped(initial) if is_batch_first else initial
    if isinstance(initial, Constant):
        return call.builder.hidden_state(f"{first}.{letter}", _constant_state(call, name, initial))
    if isinstance(initial, Stream) and initial.elements.size == hidden_size:
        region = call.builder.claim(initial, last)
        if region is not None:
            return region
    raise call.node.unsupported(
        f"computes its {name} from other signals; it must be constant, or an input of the model as it is"
    )


def _constant_state(call: Call, name: str, initial: Constant) -> NDArray[Any]:
    """The state of one sample, (hidden_size,); it must be that of all others too."""
    if initial.elements.shape[0] != 1 or initial.elements.dtype.kind != "f":
        raise call.node.malformed(f"has an {name} of shape {initial.elements.shape} and type {initial.elements.dtype}")
    samples = initial.elements[0]
    if not (samples == samples[:1]).all():
        raise call.node.unsupported(f"begins each sample of the batch from another {name}: export it with batch size 1")
    return np.asarray(samples[0], np.float32)


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


def _activations(call: Call, cell: type[Rnn | Gru | Lstm]) -> tuple[GateFunction, ...]:
    """The gates' functions; constants are handed out in order to the functions that take any."""
    node = call.node
    names = node.words("activations") or []
    alphas, betas = (iter(node.numbers(f"activation_{name}") or ()) for name in ("alpha", "beta"))
    if len(names) != cell.functions:
        raise node.malformed(f"has {len(names)} activations, needs {cell.functions}")
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
