"""Models that are not recurrent: a temporal convolutional network, and many small operators in a row.

Beside onnxruntime on the receptive field, which is what it needs to give the same frame, and beside the time that the
processor needs to read the weights from its caches.
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import floor, timing
from benchmarks.models import CLASSES, INPUTS, Float32, samples
from benchmarks.timing import Spread

TCN, OPERATORS = "tcn 6x32", "30 operators"
OWN, LOOP = "edgernn", "edgernn run"
PEER, WEIGHTS = "onnxruntime, receptive field", "weights from cache"
LAYERS, CHANNELS, KERNEL = 6, 32, 3
SIZE, COUNT = 16, 30
MAX_ERROR = 1e-5
ROWS = 2000
BLOCK_STEPS = 200
WEIGHTS_SOURCE = Path(__file__).with_name("weights.c")


@dataclass(frozen=True)
class Graph:
    """A model over the time steps of x (1, steps, inputs); `y` is (1, steps, outputs)."""

    name: str
    model: bytes
    receptive_field: int
    weight_count: int


def tcn() -> Graph:
    """Six causal convolutions with dilations 1, 2, 4, ... and ReLU, then a dense head with softmax."""
    from onnx import helper

    random, nodes, weights = np.random.default_rng(7), [], {}
    nodes.append(helper.make_node("Transpose", ["x"], ["channels"], perm=[0, 2, 1]))
    value, inputs, count = "channels", INPUTS, 0
    for layer in range(LAYERS):
        dilation = 2**layer
        bound = (inputs * KERNEL) ** -0.5
        shapes = {f"W{layer}": (CHANNELS, inputs, KERNEL), f"B{layer}": (CHANNELS,)}
        weights |= {name: random.uniform(-bound, bound, shape).astype(np.float32) for name, shape in shapes.items()}
        nodes += [
            helper.make_node(
                "Conv",
                [value, *shapes],
                [f"conv{layer}"],
                kernel_shape=[KERNEL],
                dilations=[dilation],
                pads=[(KERNEL - 1) * dilation, 0],
            ),
            helper.make_node("Relu", [f"conv{layer}"], [f"relu{layer}"]),
        ]
        value, inputs, count = f"relu{layer}", CHANNELS, count + CHANNELS * (inputs * KERNEL + 1)
    weights["D"] = random.uniform(-0.2, 0.2, (CHANNELS, CLASSES)).astype(np.float32)
    nodes += [
        helper.make_node("Transpose", [value], ["frames"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["frames", "D"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"], axis=-1),
    ]
    field = 1 + (KERNEL - 1) * sum(2**layer for layer in range(LAYERS))
    return Graph(TCN, _file(nodes, weights, INPUTS, CLASSES), field, count + weights["D"].size)


def operators() -> Graph:
    """Thirty small operators in a row, a matrix product among every five."""
    from onnx import helper

    random, nodes, weights, value = np.random.default_rng(8), [], {}, "x"
    for k in range(COUNT):
        kind = ("MatMul", "Tanh", "Add", "Relu", "Mul")[k % 5]
        inputs = [value]
        if kind in ("MatMul", "Add", "Mul"):
            shape = (INPUTS if k == 0 else SIZE, SIZE) if kind == "MatMul" else (SIZE,)
            weights[f"w{k}"] = random.uniform(-0.5, 0.5, shape).astype(np.float32)
            inputs.append(f"w{k}")
        value = "y" if k == COUNT - 1 else f"v{k}"
        nodes.append(helper.make_node(kind, inputs, [value]))
    count = sum(array.size for array in weights.values())
    return Graph(OPERATORS, _file(nodes, weights, INPUTS, SIZE), 1, count)


def _file(nodes: list[Any], weights: dict[str, Float32], inputs: int, outputs: int) -> bytes:
    from onnx import TensorProto, checker, helper, numpy_helper

    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, "time", inputs))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, "time", outputs))],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def measure_graph(graph: Graph, steps: int) -> dict[str, Spread]:
    """Times of a step.

    Raises
    ------
    ValueError
        The two compute something else.
    """
    import onnxruntime

    from edgernn.importers import load
    from edgernn.runtime.runner import Runner

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        path.write_bytes(graph.model)
        runner = Runner(load(path))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph.model, options, providers=["CPUExecutionProvider"])
    X = samples(ROWS)
    (expected,) = session.run(None, {"x": X[np.newaxis]})
    error = float(np.abs(runner.run(X) - expected[0]).max())
    if not error <= MAX_ERROR:
        raise ValueError(f"edgernn computes something else for {graph.name}: it differs by {error:.1e}")
    field = np.ascontiguousarray(X[np.newaxis, : graph.receptive_field])
    benchmark_targets = {OWN: timing.hot(runner.step), PEER: timing.hot(_bound(session, field))}
    spreads = timing.interleave(benchmark_targets, list(X), steps, BLOCK_STEPS)
    loops = {LOOP: timing.per_row(runner.run, 5, X, ROWS)}
    if floor.compiler() is not None:
        loops[WEIGHTS] = _reader(graph.weight_count)
    return spreads | timing.interleave_runs(loops, 20)


def _bound(session: Any, field: NDArray[np.float32]) -> Callable[[Any], Any]:
    """onnxruntime on one receptive field, its memory bound beforehand."""
    binding = session.io_binding()
    binding.bind_cpu_input("x", field)
    binding.bind_output("y", "cpu")
    return lambda x: session.run_with_iobinding(binding)


def _reader(count: int, rounds: int = 1000) -> Callable[[], list[float]]:
    """Times reading so many weights from the caches, again and again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.so"
        lanes = f"-DLANES={floor.lanes()}"
        command = [str(floor.compiler()), *floor.FLAGS, lanes, "-o", str(path), str(WEIGHTS_SOURCE)]
        subprocess.run(command, check=True)
        library = ctypes.CDLL(str(path))
    library.sum.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]
    library.sum.restype = ctypes.c_float
    block = np.ones(count + 16, np.float32)
    begin = block.ctypes.data + -block.ctypes.data % 64
    return timing.per_row(lambda _: (library.sum(begin, count, rounds), block), 5, None, rounds)
