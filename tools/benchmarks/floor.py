"""The C kernel of floor.c, compiled for one model by the system's gcc: what the machine can do without Python."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.models import CELLS, CLASSES, INPUTS, Float32, Model, samples

FLAGS = ("-O3", "-march=native", "-std=gnu17", "-Wall", "-Wextra", "-shared", "-fPIC")
SOURCE = Path(__file__).with_name("floor.c")

# (registers of hidden units a panel, inputs unrolled). Which is fastest depends on the size and the CPU: all that fit
# the hidden size are tried.
SHAPES = {"rnn": ((4, 1), (4, 2), (2, 2), (1, 4)), "gru": ((2, 1), (2, 2), (1, 2)), "lstm": ((2, 1), (1, 2))}


def compiler() -> str | None:
    """Path of gcc, None where it is not installed."""
    return shutil.which("gcc")


def lanes() -> int:
    """float32 numbers in the widest register that ``-march=native`` has."""
    command = [str(compiler()), "-march=native", "-dM", "-E", "-x", "c", "/dev/null"]
    macros = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    widths = (("__AVX512F__", 16), ("__AVX__", 8))
    return next((lanes for macro, lanes in widths if f"#define {macro} " in macros), 4)


class Floor:
    """One model as machine code. `run` loops in C, `time_steps` also takes the time of each step there.

    `units` registers of hidden units are computed together, `unroll` inputs at a time.
    """

    def __init__(self, model: Model, units: int, unroll: int) -> None:
        width = lanes() * units
        self._library = _compile(model, lanes(), units, unroll)
        self._weights = [_aligned(array) for array in _pack(model, width)]
        self._pointers = [_pointer(array) for array in self._weights]

    def reset(self) -> None:
        """Zero the state."""
        self._library.reset()

    def run(self, X: Float32) -> Float32:
        """Scores (steps, classes) of X (steps, inputs), continuing from the current state."""
        scores = np.empty((len(X), CLASSES), np.float32)
        self._library.run(_pointer(X), len(X), *self._pointers, _pointer(scores))
        return scores

    def time_steps(self, X: Float32) -> list[int]:
        """Time of each step of X (steps, inputs) in ns, taken in C around it."""
        scores, times_ns = np.empty((len(X), CLASSES), np.float32), np.empty(len(X), np.int64)
        self._library.run_timed(_pointer(X), len(X), *self._pointers, _pointer(scores), _pointer(times_ns))
        return times_ns.tolist()


def fastest(model: Model) -> Floor:
    """The fastest of the shapes that fit the hidden size."""
    shapes = [shape for shape in SHAPES[model.cell] if model.hidden_size % (shape[0] * lanes()) == 0]
    if not shapes:
        raise ValueError(f"the C kernel needs a hidden size that is a multiple of {lanes()}, {model.name} has none")
    X = samples(1000)
    floors = [Floor(model, *shape) for shape in shapes]
    best_ns = dict.fromkeys(range(len(floors)), float("inf"))
    for _ in range(10):
        for index, floor in enumerate(floors):
            start = time.perf_counter_ns()
            floor.run(X)
            best_ns[index] = min(best_ns[index], time.perf_counter_ns() - start)
    return floors[min(best_ns, key=best_ns.__getitem__)]


def _compile(model: Model, lanes: int, units: int, unroll: int) -> ctypes.CDLL:
    constants = {
        "CELL": 1 + CELLS.index(model.cell),
        "HIDDEN": model.hidden_size,
        "INPUTS": INPUTS,
        "LANES": lanes,
        "UNITS": units,
        "UNROLL": unroll,
    }
    defines = [f"-D{name}={value}" for name, value in constants.items()]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, f"{model.name}.so")
        subprocess.run([str(compiler()), *FLAGS, *defines, "-o", output, SOURCE], check=True)
        return ctypes.CDLL(str(output))  # stays loaded when the file is gone


def _pack(model: Model, width: int) -> tuple[Float32, ...]:
    """Gates, biases, head and head bias as floor.c reads them."""
    # (gates, H, inputs + H)
    columns = np.stack([np.hstack(pair) for pair in zip(model.gates("W"), model.gates("R"), strict=True)])
    # (panels, inputs + H, gates, width)
    gates = columns.reshape(len(columns), -1, width, columns.shape[2]).transpose(1, 3, 0, 2)
    input_biases, recurrence_biases = model.gates("Wb"), model.gates("Rb")
    biases = [a + b for a, b in zip(input_biases, recurrence_biases, strict=True)]
    if model.cell == "gru":  # the candidate's biases stay apart: one is inside the reset gate
        biases[2:] = [input_biases[2], recurrence_biases[2]]
    panels = np.stack(biases).reshape(len(biases), -1, width).transpose(1, 0, 2)  # (panels, biases, width)
    return gates, panels, model.weights["D"], model.weights["d"]


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _aligned(array: Float32) -> Float32:
    """A flat copy that begins at a cache line, so that no load crosses one."""
    room = np.empty(array.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    copy = room[start : start + array.nbytes].view(np.float32)
    copy[:] = array.ravel()
    return copy
