"""What is profiled: something that takes samples when they are due."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgernn.latency.pacing import Pacing
from edgernn.latency.recorder import LatencyRecorder
from edgernn.program.program import Program
from edgernn.runtime.runner import Runner

SETTLING_STEPS = 50  # untimed at the head of a turn: caches hold what the benchmark target before left
SAMPLES = 1024  # different ones, again and again


class BenchmarkTarget(Protocol):
    """Takes samples on a schedule.

    Attributes
    ----------
    name : str
    """

    name: str

    def time_slice(self, steps: int, schedule: Pacing, recorder: LatencyRecorder) -> None:
        """Take the next `steps` samples, and record each."""

    def close(self) -> None:
        """Give back what was opened."""


class StepTarget:
    """Calls a function for each sample.

    Parameters
    ----------
    name : str
    step : callable
    samples : sequence
        What it is called with, interleaved.
    """

    def __init__(self, name: str, step: Callable[[Any], Any], samples: Sequence[Any]) -> None:
        self.name = name
        self.step = step
        self.samples = samples
        self._taken = 0  # by the turns so far

    def time_slice(self, steps: int, schedule: Pacing, recorder: LatencyRecorder) -> None:
        step, samples, count, now_ns = self.step, self.samples, len(self.samples), schedule.clock.monotonic_ns
        for k in range(SETTLING_STEPS):
            step(samples[k % count])
        schedule.restart()
        before, self._taken = self._taken, self._taken + steps
        for k in range(steps):
            x = samples[(before + k) % count]
            due_ns = schedule.wait(k)
            started_ns = now_ns()
            step(x)
            recorder.add(due_ns, started_ns, now_ns())
            if recorder.is_full:
                since_ns = now_ns()
                recorder.absorb()
                schedule.hold(since_ns, k + 1)

    def close(self) -> None:
        """Nothing is open."""


def do_nothing(x: Any) -> None:
    """A step that takes no time: what is left is the machine's and the profiler's own."""


def random_frames(program: Program) -> dict[str, NDArray[Any]]:
    """Random samples for each input of a program, (SAMPLES, *shape).

    Floats are normally distributed, as normalised channels are; whole numbers are 0 and 1, which every vocabulary has.
    """
    random = np.random.default_rng(1)
    frames: dict[str, NDArray[Any]] = {}
    for port in program.inputs:
        shape = (SAMPLES, *port.shape)
        if np.dtype(port.dtype).kind == "f":
            frames[port.name] = random.standard_normal(shape, np.float32)
        else:
            frames[port.name] = random.integers(0, 2, shape).astype(port.dtype)
    return frames


def step_samples(frames: Mapping[str, NDArray[Any]]) -> list[Any]:
    """The same as `Runner.step` takes them, one by one."""
    if len(frames) == 1:
        (rows,) = frames.values()
        return [np.ascontiguousarray(row).reshape(-1) for row in rows]
    return [{name: rows[k] for name, rows in frames.items()} for k in range(SAMPLES)]


def edgernn_step(program: Program) -> StepTarget:
    """``Runner.step``."""
    return StepTarget("edgernn step", Runner(program).step, step_samples(random_frames(program)))


def empty_step() -> StepTarget:
    """The noise floor: the same loop around nothing."""
    return StepTarget("nothing", do_nothing, [None])
