"""Random sequence graphs: what a streaming compiler may meet, grown layer by layer from a seed.

A graph of n layers is the beginning of the graph of n + 1 layers of the same seed, so a failure shrinks by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper
from sequence_models import IR_VERSION, cell_weights

Array = NDArray[Any]
MAX_STEPS = 14  # that a graph may need until each of its tensors has a frame
MAX_PERIOD = 6
END = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Frames:
    """A tensor with time: of T steps it has ``(T + extra) // period`` times `rate` frames of `width` numbers.

    Its axes are (1, frames, width), or (1, width, frames) where `is_time_last`.
    """

    name: str
    width: int
    is_time_last: bool = False
    extra: int = 0
    period: int = 1
    rate: int = 1

    @property
    def least_steps(self) -> int:
        """Steps of the shortest sequence that has a frame."""
        return self.period - self.extra

    def length(self, steps: int) -> int:
        """Frames of a sequence."""
        return (steps + self.extra) // self.period * self.rate


@dataclass(frozen=True)
class Whole:
    """A tensor (1, width) that belongs to the whole sequence."""

    name: str
    width: int


class RandomGraph:
    """A random model.

    Parameters
    ----------
    seed : int
    layers : int or None
        As many layers at most; None for what the seed says.

    Attributes
    ----------
    model : ModelProto
        As an exporter would write it: with a frozen length of time where `frozen_steps` is one.
    free_model : ModelProto
        The same for any length of time.
    needs_window : str
        Why it cannot stream; empty where it can.
    least_steps : int
        The shortest sequence on which it is defined.
    operators : set of str
    """

    def __init__(self, seed: int, layers: int | None = None) -> None:
        self.seed = seed
        self.rng = np.random.default_rng(seed)
        self.opset = int(self.rng.choice([13, 17, 20]))
        self.may_window = bool(self.rng.random() < 0.25)
        self.frozen_steps = int(self.rng.integers(MAX_STEPS + 2, 25)) if self.rng.random() < 0.3 else None
        self.batch: int | str = "batch" if self.rng.random() < 0.2 else 1
        self.is_time_last = bool(self.rng.random() < 0.5)
        self.layers = int(self.rng.integers(2, 15))
        self.nodes: list[NodeProto] = []
        self.weights: dict[str, Array] = {}
        self.frozen_shapes: dict[str, Array] = {}
        self.least_steps = 1
        self.backward: dict[str, str] = {}  # nodes that need the end of the sequence in each frame, and why
        self.inputs = [self._input(i) for i in range(2 if self.rng.random() < 0.2 else 1)]
        self.frames: list[Frames] = list(self.inputs)
        self.wholes: list[Whole] = []
        for _ in range(self.layers if layers is None else min(layers, self.layers)):
            self._grow()
        while layers is None and len(self.nodes) < 3:
            self._grow()
        self._finish()

    def __str__(self) -> str:
        return f"RandomGraph({self.seed}, {self.layers})"

    # ---- the graph as a whole

    def _input(self, number: int) -> Frames:
        return Frames(f"x{number}", self._integer(1, 6), self.is_time_last)

    def _grow(self) -> None:
        """One more layer, on the newest tensor or on an older one."""
        if self.wholes and self._chance(0.3):
            self._pick([self._dense_head, self._join_wholes, self._dense_head])()
            return
        x = self.frames[-1] if self._chance(0.75) else self._pick(self.frames)
        always = [
            *(self._activation, self._dense, self._affine, self._join, self._channels, self._softmax, self._selected),
            *(self._layer_norm, self._reduced, self._einsum),
        ]
        plain = [
            *(self._convolution, self._convolution, self._convolution, self._convolution_2d, self._pool, self._pool),
            *(self._transposed, self._recurrent, self._recurrent, self._crop, self._pad, self._residual, self._skip),
            *(self._normalise, self._ends, self._ends, self._over_time, self._attention_pooling, self._cumulative),
        ]
        windowed = [self._mirrored, self._backwards, self._centred, self._self_attention, self._normalise_over_time]
        choices = always if x.rate > 1 else always + 2 * plain + (3 * windowed if self.may_window else [])
        self._pick(choices)(x)

    def _finish(self) -> None:
        """The outputs: what nobody reads."""
        read = {name for node in self.nodes for name in node.input}
        leaves = [tensor for tensor in (*self.frames, *self.wholes) if tensor.name not in read]
        leaves = leaves or [self.frames[-1]]
        if all(leaf in self.inputs for leaf in leaves):
            leaves = [self._activation(leaves[0])]
        self.outputs = [leaf for leaf in leaves if leaf not in self.inputs][-4:]
        needed = {tensor.name for tensor in self.outputs}
        kept = []
        for node in reversed(self.nodes):
            if needed & set(node.output):
                kept.append(node)
                needed |= set(node.input)
        self.nodes = kept[::-1]
        self.inputs = [x for x in self.inputs if x.name in needed]
        self.weights = {name: array for name, array in self.weights.items() if name in needed}
        self.operators = {node.op_type for node in self.nodes}
        self.needs_window = next((self.backward[node.name] for node in self.nodes if node.name in self.backward), "")
        self.free_model = self._model(None)
        self.model = self._model(self.frozen_steps)

    def _model(self, steps: int | None) -> onnx.ModelProto:
        weights = self.weights if steps is None else self.weights | self.frozen_shapes
        time = "time" if steps is None else steps
        graph = helper.make_graph(
            self.nodes,
            "random",
            [
                helper.make_tensor_value_info(
                    x.name,
                    TensorProto.FLOAT,
                    [self.batch, x.width, time] if x.is_time_last else [self.batch, time, x.width],
                )
                for x in self.inputs
            ],
            [helper.make_tensor_value_info(y.name, TensorProto.FLOAT, None) for y in self.outputs],
            [numpy_helper.from_array(weights[name], name) for name in self.weights],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=IR_VERSION)

    def sequences(self, steps: int) -> dict[str, Array]:
        """Random input (T, *frame)."""
        rng = np.random.default_rng(self.seed + 1)
        return {x.name: rng.standard_normal((steps, x.width)).astype(np.float32) for x in self.inputs}

    # ---- tools

    def _chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def _integer(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def _pick(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def _weight(self, array: Any, dtype: Any = np.float32) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = np.asarray(array, dtype)
        return name

    def _integers(self, *numbers: int) -> str:
        return self._weight(numbers, np.int64)

    def _random(self, *shape: int) -> Array:
        """Weights that keep the size of what they multiply."""
        inputs = max(1, int(np.prod(shape[1:])))
        return self.rng.uniform(-1, 1, shape) * np.sqrt(3 / inputs) / 1.2

    def _node(self, operator: str, inputs: list[str], outputs: int = 1, **attributes: Any) -> Any:
        names = [f"{operator}{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, name=names[0], **attributes))
        return names if outputs > 1 else names[0]

    def _axes_node(self, operator: str, x: str, *axes: int) -> str:
        return str(self._node(operator, [x, self._integers(*axes)]))

    def _turned(self, x: Frames, is_time_last: bool) -> Frames:
        """The tensor with its time where a layer wants it."""
        if x.is_time_last == is_time_last:
            return x
        return replace(x, name=self._node("Transpose", [x.name], perm=[0, 2, 1]), is_time_last=is_time_last)

    def _reshape(self, x: Frames, name: str, *shape: int) -> str:
        """A Reshape; -1 stands for time, and is its number of frames in a frozen file."""
        target = self._integers(*shape)
        if self.frozen_steps is not None and self.batch == 1 and self._chance(0.5):
            length = x.length(self.frozen_steps)
            self.frozen_shapes[target] = np.array([length if extent == -1 else extent for extent in shape])
        return str(self._node("Reshape", [name, target]))

    def _fits(self, *tensors: Frames) -> bool:
        """Whether tensors keep to the bounds."""
        return all(x.least_steps <= MAX_STEPS and x.period <= MAX_PERIOD and x.width <= 16 for x in tensors)

    def _keep(self, x: Frames) -> Frames:
        self.least_steps = max(self.least_steps, x.least_steps)
        self.frames.append(x)
        return x

    def _slid(self, x: Frames, span: int, stride: int, pads: tuple[int, int]) -> Frames:
        """What a window makes of the frames of x, with a name that is still to be given."""
        extra = x.extra + x.period * (sum(pads) - span + stride)
        return replace(x, extra=extra, period=x.period * stride)

    # ---- layers of any rate

    def _activation(self, x: Frames) -> Frames:
        operator = self._pick(
            ["Relu", "Tanh", "Sigmoid", "Sigmoid", "Elu", "LeakyRelu", "Softplus", "HardSigmoid", "Abs", "Erf"]
        )
        return self._keep(replace(x, name=self._node(operator, [x.name])))

    def _dense(self, x: Frames) -> Frames:
        x = self._turned(x, False)
        outputs = self._integer(1, 8)
        y = self._node("MatMul", [x.name, self._weight(self._random(outputs, x.width).T)])
        if self._chance(0.6):
            y = self._node("Add", [y, self._weight(self._random(outputs))])
        return self._keep(replace(x, name=y, width=outputs))

    def _affine(self, x: Frames) -> Frames:
        shape = (x.width, 1) if x.is_time_last else (x.width,)
        y = self._node(self._pick(["Add", "Mul", "Sub", "Max", "Min"]), [x.name, self._weight(self._random(*shape))])
        return self._keep(replace(x, name=y))

    def _softmax(self, x: Frames) -> Frames:
        axis = 1 if x.is_time_last else self._pick([2, -1])
        return self._keep(replace(x, name=self._node(self._pick(["Softmax", "LogSoftmax"]), [x.name], axis=axis)))

    def _channels(self, x: Frames) -> Frames:
        """Some of the channels, in some order."""
        axis = 1 if x.is_time_last else 2
        kind = self._pick(["split", "split", "split", "slice", "gather", "pad"])
        if kind == "split" and x.width > 1:
            left = self._integer(1, x.width - 1)
            sizes = (left, x.width - left)
            parts = self._node("Split", [x.name, self._integers(*sizes)], 2, axis=axis)
            if self._chance(0.5):
                return self._keep(replace(x, name=self._node("Concat", parts[::-1], axis=axis)))
            self._keep(replace(x, name=parts[0], width=sizes[0]))
            return self._keep(replace(x, name=parts[1], width=sizes[1]))
        if kind == "slice":
            start, step = self._integer(0, x.width - 1), self._pick([1, 2])
            bounds = [self._integers(number) for number in (start, END, axis, step)]
            width = len(range(start, x.width, step))
            return self._keep(replace(x, name=self._node("Slice", [x.name, *bounds]), width=width))
        if kind == "gather":
            places = self.rng.integers(-x.width, x.width, self._integer(1, 6))
            name = self._node("Gather", [x.name, self._integers(*places.tolist())], axis=axis)
            return self._keep(replace(x, name=name, width=len(places)))
        before, after = self._integer(0, 2), self._integer(0, 2)
        pads = [0] * 6
        pads[axis], pads[3 + axis] = before, after
        name = self._node("Pad", [x.name, self._integers(*pads), self._weight(0.5)])
        return self._keep(replace(x, name=name, width=x.width + before + after))

    def _selected(self, x: Frames) -> Frames:
        """x where it is above a number, else another."""
        is_above = self._node("Greater", [x.name, self._weight(0.1)])
        return self._keep(replace(x, name=self._node("Where", [is_above, x.name, self._weight(-0.2)])))

    def _layer_norm(self, x: Frames) -> Frames:
        if self.opset < 17 or x.width < 2:
            return self._activation(x)
        x = self._turned(x, False)
        numbers = [self._weight(self.rng.uniform(0.5, 1.5, x.width)) for _ in range(self._integer(1, 2))]
        return self._keep(replace(x, name=self._node("LayerNormalization", [x.name, *numbers], epsilon=1e-2)))

    def _reduce_node(self, operator: str, x: str, axis: int, keep: int) -> str:
        """A reduction over one axis; axes became an input, of ReduceSum with operator set 13, of others with 18."""
        if operator == "ReduceSum" or self.opset >= 18:
            return str(self._node(operator, [x, self._integers(axis)], keepdims=keep))
        return str(self._node(operator, [x], axes=[axis], keepdims=keep))

    def _reduced(self, x: Frames) -> Frames:
        """A number for each frame."""
        operator = self._pick(["ReduceMean", "ReduceMax", "ReduceL2", "ReduceLogSumExp"])
        return self._keep(
            replace(x, name=self._reduce_node(operator, x.name, 1 if x.is_time_last else 2, keep=1), width=1)
        )

    def _einsum(self, x: Frames) -> Frames:
        outputs = self._integer(1, 6)
        equation = "bct,oc->bot" if x.is_time_last else "btc,oc->bto"
        W = self._weight(self._random(outputs, x.width))
        return self._keep(replace(x, name=self._node("Einsum", [x.name, W], equation=equation), width=outputs))

    def _join(self, x: Frames) -> Frames:
        """x with another tensor of its pace."""
        others = [
            y
            for y in self.frames
            if (y.period, y.rate) == (x.period, x.rate) and (y.extra - x.extra) % x.period == 0 and y.name != x.name
        ]
        if x.rate > 1:
            others = [y for y in others if y.extra == x.extra]
        return self._joined(x, self._pick(others)) if others else self._activation(x)

    def _joined(self, x: Frames, y: Frames) -> Frames:
        y = self._turned(y, x.is_time_last)
        if x.extra != y.extra:
            x, y = self._meeting(x, y)
        if self._chance(0.5) or y.width not in (1, x.width):
            names = [x.name, y.name, x.name] if self._chance(0.2) else [x.name, y.name]
            name = self._node("Concat", names, axis=1 if x.is_time_last else 2)
            return self._keep(replace(x, name=name, width=y.width + (len(names) - 1) * x.width))
        operator = self._pick(["Add", "Mul", "Sub", "Max", "Min", "Sum", "Sum"])
        return self._keep(replace(x, name=self._node(operator, [x.name, y.name])))

    def _meeting(self, x: Frames, y: Frames) -> tuple[Frames, Frames]:
        """Two sequences cut or padded to the same length."""
        frames = (x.extra - y.extra) // x.period
        longer, shorter = (x, y) if frames > 0 else (y, x)
        before = self._integer(0, abs(frames))
        after = abs(frames) - before
        if self._chance(0.7) and self._can_cut(longer, abs(frames)):
            longer = self._cut(longer, before, after)
        else:
            shorter = self._padded(shorter, before, after)
        return (longer, shorter) if frames > 0 else (shorter, longer)

    # ---- layers over time

    def _convolution(self, x: Frames) -> Frames:
        kernel, dilation = self._integer(1, 4), self._pick([1, 1, 2, 3])
        stride, span = self._pick([1, 1, 1, 2, 3]), (kernel - 1) * dilation + 1
        pads = self._pads(span)
        groups, outputs = 1, self._integer(1, 8)
        if self._chance(0.4):
            groups = self._pick([n for n in range(1, x.width + 1) if x.width % n == 0])
            outputs = groups * self._integer(1, 2)
        y = replace(self._slid(x, span, stride, pads), width=outputs, is_time_last=True)
        if not self._fits(y):
            return self._activation(x)
        x = self._turned(x, True)
        inputs = [x.name, self._weight(self._random(outputs, x.width // groups, kernel))]
        inputs += [self._weight(self._random(outputs))] if self._chance(0.6) else []
        attributes: dict[str, Any] = {"dilations": [dilation], "strides": [stride], "group": groups}
        if stride == dilation == 1 and sum(pads) == span - 1 and abs(pads[0] - pads[1]) <= 1 and self._chance(0.5):
            attributes["auto_pad"] = "SAME_UPPER" if pads[0] <= pads[1] else "SAME_LOWER"
        elif any(pads) or self._chance(0.5):
            attributes["pads"] = list(pads)
        return self._keep(replace(y, name=self._node("Conv", inputs, **attributes)))

    def _pads(self, span: int, most: int | None = None) -> tuple[int, int]:
        """Padding: causal, symmetric, none or any."""
        half = (span - 1) // 2
        kind = self._pick(["causal", "causal", "same", "none", "any", "any"])
        pads = {"causal": (span - 1, 0), "same": (half, span - 1 - half), "none": (0, 0)}.get(
            kind, (self._integer(0, span), self._integer(0, span))
        )
        return pads if most is None else (min(pads[0], most), min(pads[1], most))

    def _convolution_2d(self, x: Frames) -> Frames:
        """Over time and features, which become a plane of one channel."""
        kernel = (self._integer(1, 3), self._integer(1, min(3, x.width)))
        stride, channels = (self._pick([1, 1, 2]), self._pick([1, 1, 2])), self._integer(1, 3)
        pads = (self._pads(kernel[0]), self._pads(kernel[1]))
        width = (x.width + sum(pads[1]) - kernel[1]) // stride[1] + 1
        y = replace(self._slid(x, kernel[0], stride[0], pads[0]), width=channels * width, is_time_last=False)
        if not self._fits(y) or width < 1:
            return self._activation(x)
        order = (1, 0) if x.is_time_last else (0, 1)  # which spatial axis is time
        plane = self._axes_node("Unsqueeze", x.name, 1)
        W = self._random(channels, 1, *(kernel[i] for i in order))
        conv = self._node(
            "Conv",
            [plane, self._weight(W), self._weight(self._random(channels))],
            strides=[stride[i] for i in order],
            pads=[pads[i][side] for side in (0, 1) for i in order],
        )
        columns = self._node("Transpose", [conv], perm=[0, 3, 1, 2] if x.is_time_last else [0, 2, 1, 3])
        return self._keep(replace(y, name=self._reshape(y, columns, 0, -1, channels * width)))

    def _transposed(self, x: Frames) -> Frames:
        kernel, dilation, stride = self._integer(1, 4), self._pick([1, 1, 2]), self._pick([1, 1, 2, 3])
        span, outputs = (kernel - 1) * dilation + 1, self._integer(1, 6)
        pads = (self._integer(0, min(2, span - 1)), self._integer(0, min(2, span - 1)))
        more = (sum(pads) + stride - span) % stride
        rest = (span - stride - sum(pads) + more) // stride
        y = replace(x, extra=x.extra + x.period * rest, rate=stride, width=outputs, is_time_last=True)
        if not self._fits(y) or more >= max(stride, dilation):
            return self._activation(x)
        x = self._turned(x, True)
        groups = 2 if x.width % 2 == 0 and outputs % 2 == 0 and self._chance(0.4) else 1
        W = self._random(outputs, x.width, kernel).swapaxes(0, 1)[:, : outputs // groups]
        name = self._node(
            "ConvTranspose",
            [x.name, self._weight(W), self._weight(self._random(outputs))],
            dilations=[dilation],
            strides=[stride],
            pads=list(pads),
            output_padding=[more],
            group=groups,
        )
        return self._keep(replace(y, name=name))

    def _pool(self, x: Frames) -> Frames:
        operator = self._pick(["MaxPool", "MaxPool", "AveragePool", "LpPool"])
        kernel, stride = self._integer(1, 4), self._pick([1, 1, 2, 3])
        dilation = self._pick([1, 2]) if operator == "MaxPool" else 1
        span = (kernel - 1) * dilation + 1
        pads = self._pads(span, most=kernel - 1)
        y = replace(self._slid(x, span, stride, pads), is_time_last=True)
        least_steps = x.period * span - x.extra if dilation > 1 else 1  # a window must not lie in padding alone
        if not self._fits(y) or least_steps > MAX_STEPS:
            return self._activation(x)
        self.least_steps = max(self.least_steps, least_steps)
        x = self._turned(x, True)
        attributes: dict[str, Any] = {"kernel_shape": [kernel], "strides": [stride], "pads": list(pads)}
        if operator == "MaxPool":
            attributes["dilations"] = [dilation]
        if operator == "AveragePool":
            attributes["count_include_pad"] = self._integer(0, 1)
        return self._keep(replace(y, name=self._node(operator, [x.name], **attributes)))

    def _recurrent(self, x: Frames, direction: str = "forward") -> Frames:
        x = self._turned(x, False)
        operator, hidden = self._pick(["RNN", "GRU", "LSTM"]), self._integer(1, 5)
        directions = 2 if direction == "bidirectional" else 1
        parts = [cell_weights(operator, x.width, hidden, self.rng) for _ in range(directions)]
        W, R, B = (self._weight(np.concatenate([part[letter] for part in parts])) for letter in "WRB")
        attributes: dict[str, Any] = {"linear_before_reset": self._integer(0, 1)} if operator == "GRU" else {}
        if operator == "RNN" and self._chance(0.3):
            attributes["activations"] = [self._pick(["Relu", "Sigmoid", "Softsign"])] * directions
        inputs = [self._node("Transpose", [x.name], perm=[1, 0, 2]), W, R, B if self._chance(0.8) else "", ""]
        if self.batch == 1 and self._chance(0.4):
            inputs.append(self._weight(self.rng.uniform(-0.5, 0.5, (directions, 1, hidden))))
        if operator == "LSTM" and self._chance(0.2):
            inputs += [""] * (7 - len(inputs)) + [self._weight(self._random(directions, 3 * hidden))]
        Y, last = self._node(operator, inputs, 2, hidden_size=hidden, direction=direction, **attributes)
        if direction != "forward":
            self.backward[Y] = "runs backwards"
        if directions == 1:
            frames = self._node("Transpose", [self._axes_node("Squeeze", Y, 1)], perm=[1, 0, 2])
        else:
            frames = self._reshape(x, self._node("Transpose", [Y], perm=[2, 0, 1, 3]), 0, -1, directions * hidden)
        if directions == 1 and self._chance(0.3):
            self.wholes.append(Whole(self._axes_node("Squeeze", last, 0), hidden))
        return self._keep(replace(x, name=frames, width=directions * hidden))

    def _cut(self, x: Frames, before: int, after: int, stride: int = 1) -> Frames:
        """Without frames at both ends, and of the others every `stride`-th."""
        axis = 2 if x.is_time_last else 1
        bounds = [self._integers(number) for number in (before, -after if after else END, axis, stride)]
        extra = x.extra + x.period * (stride - 1 - before - after)
        y = replace(x, name=self._node("Slice", [x.name, *bounds]), extra=extra, period=x.period * stride)
        self.least_steps = max(self.least_steps, y.least_steps)
        return y

    def _can_cut(self, x: Frames, frames: int) -> bool:
        """Whether a frozen length leaves no doubt from which end frames are counted."""
        return self.frozen_steps is None or x.length(self.frozen_steps) > 2 * frames + 2

    def _crop(self, x: Frames) -> Frames:
        before, after, stride = self._integer(0, 3), self._integer(0, 2), self._pick([1, 1, 2, 3])
        if not self._can_cut(x, before + after) or not self._fits(
            replace(x, extra=x.extra - x.period * (before + after), period=x.period * stride)
        ):
            return self._activation(x)
        return self._keep(self._cut(x, before, after, stride))

    def _padded(self, x: Frames, before: int, after: int, value: float = 0.0, mode: str = "constant") -> Frames:
        axis = 2 if x.is_time_last else 1
        pads = [0] * 6
        pads[axis], pads[3 + axis] = before, after
        inputs = [x.name, self._integers(*pads), *([self._weight(value)] if mode == "constant" else [])]
        extra = x.extra + x.period * (before + after)
        return replace(x, name=self._node("Pad", inputs, mode=mode), extra=extra)

    def _pad(self, x: Frames) -> Frames:
        return self._keep(self._padded(x, self._integer(0, 3), self._integer(0, 2), self._pick([0.0, 0.0, 0.7, -1.0])))

    def _normalise(self, x: Frames) -> Frames:
        x = self._turned(x, True)
        numbers = [self._weight(self.rng.uniform(0.5, 1.5, x.width)) for _ in range(4)]
        return self._keep(replace(x, name=self._node("BatchNormalization", [x.name, *numbers])))

    def _residual(self, x: Frames) -> Frames:
        """x, and what some layers make of it."""
        y = x
        for _ in range(self._integer(1, 2)):
            layer = self._pick([self._convolution, self._pool, self._recurrent, self._activation, self._transposed])
            z = layer(y)
            y = z if z.period == x.period and z.rate == 1 else y
        return self._joined(y, x) if y is not x else self._activation(x)

    def _skip(self, x: Frames) -> Frames:
        """Two branches of the same stride, with other kernels and delays."""
        stride = self._pick([1, 2, 2, 3])
        if not self._fits(replace(x, period=x.period * stride)):
            return self._activation(x)
        branches = [self._conv_of(x, self._integer(1, 4), stride), self._conv_of(x, self._integer(1, 4), stride)]
        return self._joined(*branches)

    def _conv_of(self, x: Frames, kernel: int, stride: int) -> Frames:
        """A depthwise convolution with a window for each `stride` frames."""
        before = self._integer(0, kernel - 1)
        pads = (before, kernel - 1 - before)
        y = replace(self._slid(x, kernel, stride, pads), is_time_last=True)
        x = self._turned(x, True)
        inputs = [x.name, self._weight(self._random(x.width, 1, kernel))]
        name = self._node("Conv", inputs, strides=[stride], pads=list(pads), group=x.width)
        return self._keep(replace(y, name=name))

    # ---- what belongs to the whole sequence

    def _ends(self, x: Frames) -> Whole | Frames:
        kind = self._pick(["gather", "slice", "frames", "mean", "max"])
        axis = 2 if x.is_time_last else 1
        if kind == "gather":
            return self._whole(self._node("Gather", [x.name, self._weight(-1, np.int64)], axis=axis), x.width)
        if kind in ("slice", "frames"):
            count = 1 if kind == "slice" else self._integer(2, 3)
            least = x.period * count - x.extra
            if least > MAX_STEPS:
                return self._activation(x)
            self.least_steps = max(self.least_steps, least)
            bounds = [self._integers(number) for number in (-count, END, axis)]
            newest = self._node("Slice", [x.name, *bounds])
            return self._whole(self._node("Flatten", [newest], axis=1), count * x.width)
        x = self._turned(x, True)
        pooled = self._node("GlobalAveragePool" if kind == "mean" else "GlobalMaxPool", [x.name])
        return self._whole(self._node("Flatten", [pooled], axis=1), x.width)

    def _over_time(self, x: Frames) -> Whole:
        operator = self._pick(["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"])
        y = self._reduce_node(operator, x.name, 2 if x.is_time_last else 1, keep=0)
        if operator == "ReduceSum":
            y = self._node("Mul", [y, self._weight(0.1)])
        return self._whole(y, x.width)

    def _attention_pooling(self, x: Frames) -> Whole:
        """Frames weighted by a softmax over time."""
        x = self._turned(x, False)
        scores = self._node("MatMul", [x.name, self._weight(self._random(1, x.width).T)])
        shares = self._node("Softmax", [scores], axis=1)
        return self._whole(self._reduce_node("ReduceSum", self._node("Mul", [shares, x.name]), 1, keep=0), x.width)

    def _cumulative(self, x: Frames) -> Frames:
        sums = self._node("CumSum", [x.name, self._weight(2 if x.is_time_last else 1, np.int64)])
        return self._keep(replace(x, name=self._node("Tanh", [sums])))

    def _whole(self, name: str, width: int) -> Whole:
        self.wholes.append(Whole(name, width))
        return self.wholes[-1]

    def _dense_head(self) -> None:
        x, outputs = self._pick(self.wholes), self._integer(1, 6)
        W, B = self._weight(self._random(outputs, x.width)), self._weight(self._random(outputs))
        y = self._node("Gemm", [x.name, W, B], transB=1)
        self._whole(self._node("Tanh", [y]) if self._chance(0.5) else y, outputs)

    def _join_wholes(self) -> None:
        x, y = self._pick(self.wholes), self._pick(self.wholes)
        if x.width == y.width and self._chance(0.6):
            self._whole(self._node(self._pick(["Add", "Mul", "Sub"]), [x.name, y.name]), x.width)
        elif x.width + y.width <= 32:
            self._whole(self._node("Concat", [x.name, y.name], axis=1), x.width + y.width)

    # ---- what needs the end of the sequence, or its beginning, in each frame

    def _backwards(self, x: Frames) -> Frames:
        return self._recurrent(x, self._pick(["reverse", "bidirectional"]))

    def _mirrored(self, x: Frames) -> Frames:
        if x.least_steps + 2 * x.period > MAX_STEPS:
            return self._activation(x)
        self.least_steps = max(self.least_steps, x.least_steps + 2 * x.period)
        y = self._padded(x, self._integer(0, 2), self._integer(1, 2), mode=self._pick(["reflect", "edge"]))
        self.backward[y.name] = "pads time with its own frames"
        return self._keep(y)

    def _self_attention(self, x: Frames) -> Frames:
        """Each frame attends to all."""
        x = self._turned(x, False)
        size = self._integer(1, 4)
        q, k, v = (self._node("MatMul", [x.name, self._weight(self._random(size, x.width).T)]) for _ in range(3))
        scores = self._node("MatMul", [q, self._node("Transpose", [k], perm=[0, 2, 1])])
        y = replace(x, name=self._node("MatMul", [self._node("Softmax", [scores], axis=-1), v]), width=size)
        self.backward[y.name] = "attends to all frames"
        return self._keep(y)

    def _normalise_over_time(self, x: Frames) -> Frames:
        x = self._turned(x, True)
        numbers = [self._weight(self.rng.uniform(0.5, 1.5, x.width)) for _ in range(2)]
        y = replace(x, name=self._node("InstanceNormalization", [x.name, *numbers], epsilon=1e-2))
        self.backward[y.name] = "normalises over time"
        return self._keep(y)

    def _centred(self, x: Frames) -> Frames:
        """Each frame without the mean of all."""
        x = self._turned(x, True)
        y = replace(x, name=self._node("Sub", [x.name, self._node("GlobalAveragePool", [x.name])]))
        self.backward[y.name] = "combines the whole with each frame"
        return self._keep(y)
