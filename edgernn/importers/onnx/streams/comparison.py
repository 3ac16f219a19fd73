"""A stream beside the same graph on a window, computed with numbers drawn at random."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.program.program import Program
from edgernn.reference.runner import ReferenceRunner

TOLERANCE = 1e-4  # in proportion to the largest number of an output


def ends_alike(stream: Program, window: Program, steps: int) -> bool:
    """Whether both give the same after `steps` steps from a reset; of frames of a window, the last counts."""
    rng = np.random.default_rng(0)
    runners = (ReferenceRunner(stream), ReferenceRunner(window))
    results: list[Any] = [None, None]
    for _ in range(steps):
        frame = {
            port.name: rng.integers(0, 2, port.shape) if port.dtype == "int32" else rng.standard_normal(port.shape)
            for port in stream.inputs
        }
        feeds = frame if len(frame) > 1 else next(iter(frame.values()))
        results = [runner.step(feeds) for runner in runners]
    for output in stream.description.outputs:
        a, b = (result[output.name] if isinstance(result, dict) else result for result in results)
        if a is not None and b is not None and not any(_close(a, part) for part in _ends(b, steps, output.per_frame)):
            return False
    return True


def _ends(whole: NDArray[Any], steps: int, per_frame: bool) -> list[NDArray[Any]]:
    """What an output of a window may have at its end: all of it, or its last frame along an axis of that length."""
    if not per_frame or steps == 1:
        return [whole]
    return [whole.take(-1, axis) for axis, extent in enumerate(whole.shape) if extent == steps]


def _close(a: NDArray[Any], b: NDArray[Any]) -> bool:
    scale = max(1.0, float(np.abs(b).max(initial=0.0)))
    return a.size == b.size and np.allclose(a.ravel(), b.ravel(), rtol=0, atol=TOLERANCE * scale, equal_nan=True)
