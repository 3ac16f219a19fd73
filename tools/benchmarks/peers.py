"""The runtimes that are compared: each takes one sample and gives the scores, and carries the state itself.

Every peer is used in the fastest way that its public Python interface, or one attribute below it, allows: one thread,
buffers made beforehand, no copies that the interface does not force.
"""

from __future__ import annotations

import importlib.util
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np

from benchmarks.models import CLASSES, GATES, INPUTS, Float32, Model

Step: TypeAlias = Callable[[Float32], Any]


class Peer(ABC):
    """A runtime holding one model.

    `name` heads its column, `package` is what must be installed for it, `make_step` gives the function that is timed:
    x (inputs,) float32 in, scores out. `reset` zeroes the state.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    largest_error: ClassVar[float] = 2e-6  # of a score, against float64

    def __init__(self, model: Model) -> None:
        self.step: Step = self.make_step(model)

    @classmethod
    def missing(cls) -> str | None:
        """Why this peer cannot run here, None if it can."""
        if importlib.util.find_spec(cls.package.replace("-", "_")) is None:
            return f"{cls.package} is not installed"
        return None

    @classmethod
    def describe(cls) -> str:
        """Package and version."""
        return f"{cls.package} {version(cls.package)}"

    @abstractmethod
    def make_step(self, model: Model) -> Step:
        """Load the model and return the function to time."""

    @abstractmethod
    def reset(self) -> None:
        """Zero the state."""

    def scores(self, X: Float32) -> Float32:
        """Scores (steps, classes) of X (steps, inputs), by steps from a zero state."""
        self.reset()
        return np.stack([np.array(self.step(x), np.float32).ravel() for x in X])


class Edgernn(Peer):
    """The project itself: ``Runner.step``."""

    name = "edgernn"
    package = "edgernn"

    @classmethod
    def describe(cls) -> str:
        import edgernn

        return f"edgernn {edgernn.__version__}"

    def make_step(self, model: Model) -> Step:
        import edgernn

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{model.name}.onnx")
            path.write_bytes(model.onnx())
            self.runner = edgernn.Runner(edgernn.load(path))
        step: Step = self.runner.step
        return step

    def reset(self) -> None:
        self.runner.reset()


class OnnxRuntime(Peer):
    """``InferenceSession.run`` with a dict of arrays, as most people call it, but with one thread."""

    name = "onnxruntime run"
    package = "onnxruntime"

    def make_step(self, model: Model) -> Step:
        session = onnxruntime_session(model)
        run, names = session.run, [output.name for output in session.get_outputs()]
        feed = {port.name: np.zeros(port.shape, np.float32) for port in session.get_inputs()}
        self._states = [name for name in feed if name != "x"]
        self._feed = feed
        shape = (1, 1, INPUTS)
        if model.cell == "lstm":

            def step_lstm(x: Float32) -> Any:
                feed["x"] = x.reshape(shape)
                scores, feed["h_in"], feed["c_in"] = run(names, feed)
                return scores

            return step_lstm

        def step(x: Float32) -> Any:
            feed["x"] = x.reshape(shape)
            scores, feed["h_in"] = run(names, feed)
            return scores

        return step

    def reset(self) -> None:
        for name in self._states:
            self._feed[name] = np.zeros_like(self._feed[name])


class OnnxRuntimeBinding(Peer):
    """IOBinding on fixed buffers, two bindings with the states swapped, called below the Python wrapper."""

    name = "onnxruntime IOBinding"
    package = "onnxruntime"

    def make_step(self, model: Model) -> Step:
        import onnxruntime

        session = onnxruntime_session(model)
        states = ["h", "c"] if model.cell == "lstm" else ["h"]
        self._buffers = {
            (state, turn): np.zeros((1, 1, model.hidden_size), np.float32) for state in states for turn in (0, 1)
        }
        x_buffer, scores = np.zeros((1, 1, INPUTS), np.float32), np.zeros((1, CLASSES), np.float32)

        def bind(old: int, new: int) -> Any:
            binding = session.io_binding()
            arrays: dict[str, Float32] = {"x": x_buffer} | {
                f"{state}_in": self._buffers[state, old] for state in states
            }
            for name, array in arrays.items():
                binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
            arrays = {"scores": scores} | {f"{state}_out": self._buffers[state, new] for state in states}
            for name, array in arrays.items():
                binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
            return binding

        self._keep = (session, bind(0, 1), bind(1, 0))
        run, options = session._sess.run_with_iobinding, onnxruntime.RunOptions()
        now, after = (binding._iobinding for binding in self._keep[1:])
        x_row = x_buffer[0, 0]

        def step(x: Float32) -> Any:
            nonlocal now, after
            x_row[:] = x
            run(now, options)
            now, after = after, now
            return scores

        return step

    def reset(self) -> None:
        for buffer in self._buffers.values():
            buffer[:] = 0


class LiteRt(Peer):
    """LiteRT's interpreter with XNNPACK, by its documented calls: set_tensor, invoke, get_tensor."""

    name = "LiteRT"
    package = "ai-edge-litert"

    def make_step(self, model: Model) -> Step:
        self._interpreter = litert_interpreter(model)
        details = (self._interpreter.get_input_details(), self._interpreter.get_output_details())
        (x, *self._old), (scores, *new) = ([detail["index"] for detail in side] for side in details)
        self._zeros = np.zeros((1, model.hidden_size), np.float32)
        states = list(zip(self._old, new, strict=True))
        put, invoke, get = self._interpreter.set_tensor, self._interpreter.invoke, self._interpreter.get_tensor

        def step(sample: Float32) -> Any:
            put(x, sample[None])
            invoke()
            for old, new in states:
                put(old, get(new))
            return get(scores)

        return step

    def reset(self) -> None:
        for state in self._old:
            self._interpreter.set_tensor(state, self._zeros)


class LiteRtInPlace(Peer):
    """The same without copies: its tensors are written and read in place, and its wrapper's checks are passed by."""

    name = "LiteRT in place"
    package = "ai-edge-litert"

    def make_step(self, model: Model) -> Step:
        self._interpreter = litert_interpreter(model)
        details = (self._interpreter.get_input_details(), self._interpreter.get_output_details())
        (x, *old), (scores, *new) = ([self._view(detail) for detail in side] for side in details)
        self._states = old
        invoke = self._interpreter._interpreter.Invoke
        if model.cell == "lstm":
            (h, c), (new_h, new_c) = old, new

            def step_lstm(sample: Float32) -> Any:
                x[:] = sample
                invoke()
                h[:] = new_h
                c[:] = new_c
                return scores

            return step_lstm
        (h,), (new_h,) = old, new

        def step(sample: Float32) -> Any:
            x[:] = sample
            invoke()
            h[:] = new_h
            return scores

        return step

    def _view(self, detail: dict[str, Any]) -> Float32:
        view: Float32 = self._interpreter.tensor(detail["index"])()[0]
        return view

    def reset(self) -> None:
        for state in self._states:
            state[:] = 0


class Tract(Peer):
    """tract through its wheel, optimised model, new arrays each call as its interface asks."""

    name = "tract"
    package = "tract"

    def make_step(self, model: Model) -> Step:
        import tract

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{model.name}.onnx")
            path.write_bytes(model.onnx())
            runnable = tract.onnx().load(str(path)).into_model().into_runnable()
        self._zeros = [np.zeros((1, 1, model.hidden_size), np.float32)] * (2 if model.cell == "lstm" else 1)
        self._states: list[Any] = self._zeros
        run = runnable.run

        def step(x: Float32) -> Any:
            scores, *self._states = run([x.reshape(1, 1, INPUTS), *self._states])
            return scores.to_numpy()

        return step

    def reset(self) -> None:
        self._states = self._zeros


class Torch(Peer):
    """torch eager, the cell modules in inference mode."""

    name = "torch eager"
    package = "torch"

    def make_step(self, model: Model) -> Step:
        import torch

        torch.set_num_threads(1)
        torch.set_grad_enabled(False)
        kinds = {"rnn": torch.nn.RNNCell, "gru": torch.nn.GRUCell, "lstm": torch.nn.LSTMCell}
        order = {"rnn": (0,), "gru": (1, 0, 2), "lstm": (0, 2, 3, 1)}[model.cell]  # torch has r z n and i f g o
        cell, head = kinds[model.cell](INPUTS, model.hidden_size), torch.nn.Linear(model.hidden_size, CLASSES)
        for name, weight in (("weight_ih", "W"), ("weight_hh", "R"), ("bias_ih", "Wb"), ("bias_hh", "Rb")):
            gates = model.gates(weight)
            getattr(cell, name).data = torch.from_numpy(np.concatenate([gates[gate] for gate in order]))
        head.weight.data, head.bias.data = (torch.from_numpy(model.weights[name].copy()) for name in ("D", "d"))
        zeros = torch.zeros(1, model.hidden_size)
        self._zeros = (zeros, zeros) if model.cell == "lstm" else zeros
        self._state: Any = self._zeros
        from_numpy, softmax = torch.from_numpy, torch.softmax

        def step_lstm(x: Float32) -> Any:
            self._state = h, _ = cell(from_numpy(x).unsqueeze(0), self._state)
            return softmax(head(h), 1).numpy()

        def step(x: Float32) -> Any:
            self._state = cell(from_numpy(x).unsqueeze(0), self._state)
            return softmax(head(self._state), 1).numpy()

        return step_lstm if model.cell == "lstm" else step

    def reset(self) -> None:
        self._state = self._zeros


class Numpy(Peer):
    """Written by hand in NumPy: one product over x and h laid end to end, results written into buffers."""

    name = "numpy by hand"
    package = "numpy"

    def make_step(self, model: Model) -> Step:
        H, rows = model.hidden_size, GATES[model.cell] * model.hidden_size
        W, R, D, d = (model.weights[name] for name in ("W", "R", "D", "d"))
        input_bias, recurrence_bias = model.weights["B"].reshape(2, rows)
        weights = np.hstack([W, R, (input_bias + recurrence_bias)[:, None]])
        self._xh1 = np.zeros(INPUTS + H + 1, np.float32)  # x, h and a one for the bias
        self._xh1[-1] = 1
        self._c = np.zeros(H, np.float32)
        cell = {"rnn": self._rnn, "gru": self._gru, "lstm": self._lstm}[model.cell]
        if model.cell == "gru":  # n's part from h stays apart
            weights = np.vstack([weights, np.zeros((H, weights.shape[1]), np.float32)])
            weights[2 * H :, INPUTS:] = 0
            weights[2 * H : 3 * H, -1] = input_bias[2 * H :]
            weights[3 * H :, INPUTS:-1] = R[2 * H :]
            weights[3 * H :, -1] = recurrence_bias[2 * H :]
        update = cell(weights, H)
        x_part, h, y, xh1 = self._xh1[:INPUTS], self._xh1[INPUTS:-1], np.empty(CLASSES, np.float32), self._xh1
        dot, exp, total = np.dot, np.exp, np.add.reduce

        def step(x: Float32) -> Any:
            x_part[:] = x
            update(xh1, h)
            dot(D, h, y)
            np.add(y, d, y)
            np.subtract(y, y.max(), y)
            exp(y, y)
            np.divide(y, total(y), y)
            return y

        return step

    def _rnn(self, weights: Float32, H: int) -> Callable[[Float32, Float32], None]:
        a, dot, tanh = np.empty(H, np.float32), np.dot, np.tanh

        def update(xh1: Float32, h: Float32) -> None:
            dot(weights, xh1, a)
            tanh(a, h)

        return update

    def _gru(self, weights: Float32, H: int) -> Callable[[Float32, Float32], None]:
        gates, dot, tanh, multiply, add = np.empty(4 * H, np.float32), np.dot, np.tanh, np.multiply, np.add
        zr, (z, r, n, u), half = gates[: 2 * H], np.split(gates, 4), np.float32(0.5)

        def update(xh1: Float32, h: Float32) -> None:
            dot(weights, xh1, gates)
            multiply(zr, half, zr)
            tanh(zr, zr)
            multiply(zr, half, zr)
            add(zr, half, zr)
            multiply(r, u, u)
            add(n, u, n)
            tanh(n, n)
            np.subtract(h, n, u)
            multiply(z, u, u)
            add(n, u, h)

        return update

    def _lstm(self, weights: Float32, H: int) -> Callable[[Float32, Float32], None]:
        gates, dot, tanh, multiply, add = np.empty(4 * H, np.float32), np.dot, np.tanh, np.multiply, np.add
        iof, (i, o, f, g), half, c = gates[: 3 * H], np.split(gates, 4), np.float32(0.5), self._c

        def update(xh1: Float32, h: Float32) -> None:
            dot(weights, xh1, gates)
            multiply(iof, half, iof)
            tanh(gates, gates)
            multiply(iof, half, iof)
            add(iof, half, iof)
            multiply(f, c, c)
            multiply(i, g, i)
            add(c, i, c)
            tanh(c, h)
            multiply(o, h, h)

        return update

    def reset(self) -> None:
        self._xh1[INPUTS:-1] = 0
        self._c[:] = 0


PEERS: tuple[type[Peer], ...] = (
    Edgernn,
    OnnxRuntime,
    OnnxRuntimeBinding,
    LiteRt,
    LiteRtInPlace,
    Tract,
    Torch,
    Numpy,
)


def onnxruntime_session(model: Model) -> Any:
    """A session with one thread that never spins, so that it takes nothing from the other peers."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model.onnx(), options, providers=["CPUExecutionProvider"])


def litert_interpreter(model: Model) -> Any:
    """An interpreter with one thread and its tensors allocated."""
    from ai_edge_litert.interpreter import Interpreter

    from benchmarks.litert_model import litert_model

    interpreter = Interpreter(model_content=litert_model(model), num_threads=1)
    interpreter.allocate_tensors()
    return interpreter
