"""Where the time of a step goes.

Nothing is built into the step to measure it. The table of its operations is run up to the first, up to the second and
so on, by turns; what one more operation adds is its time. The parts so add up to the whole, which is the time of an
ordinary step within the noise of the machine; both are shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import numpy as np

from edgernn.latency.contestants import random_frames
from edgernn.program import Program
from edgernn.runner import Runner

ROUNDS = 60
ROUND_NS = 1_000_000  # of steps between two looks at the clock
MAX_STEPS = 1024


class OperationTime(msgspec.Struct, frozen=True):
    """Time that an operation adds to a step, in ns; `share` of the whole."""

    name: str
    kind: str
    time_ns: float
    share: float


class OperationTimes(msgspec.Struct, frozen=True):
    """All operations of a step.

    Attributes
    ----------
    operations : tuple of OperationTime
        In the order in which they run; the first is what surrounds them (samples in, outputs out).
    sum_ns : float
        Of the operations, in compiled code.
    plain_ns : float
        Of an ordinary step in compiled code, beside which they were measured.
    """

    operations: tuple[OperationTime, ...]
    sum_ns: float
    plain_ns: float

    @property
    def change(self) -> float:
        """By which share measuring made the whole longer."""
        return self.sum_ns / self.plain_ns - 1


def time_operations(program: Program, now_ns: Callable[[], int] = time.perf_counter_ns) -> OperationTimes:
    """Time every operation of a program's step.

    Parameters
    ----------
    program : Program
    now_ns : callable
        A clock in nanoseconds.
    """
    plain, partial = Runner(program), Runner(program)
    names = partial.operation_names
    frames = random_frames(program)
    X = {name: rows[:MAX_STEPS] for name, rows in frames.items()}
    steps = _steps_a_round(plain, X, now_ns)
    X = {name: rows[:steps] for name, rows in X.items()}

    def round_ns(runner: Runner) -> float:
        runner.reset()
        start_ns = now_ns()
        runner.run(X)
        return (now_ns() - start_ns) / steps

    times_ns = np.zeros((len(names) + 2, ROUNDS))  # of the first 0, 1, ... operations, then of the plain runner
    for k in range(ROUNDS):
        for count in range(len(names) + 1):
            partial.limit_operations(count)
            times_ns[count, k] = round_ns(partial)
        times_ns[-1, k] = round_ns(plain)
    medians = np.median(times_ns, axis=1)
    added = np.diff(medians[:-1], prepend=0.0)
    kinds = {operation.name: type(operation).__name__ for operation in program.operations}
    rows = zip(("samples in, outputs out", *names), added.tolist(), strict=True)
    operations = (OperationTime(name, kinds.get(name, ""), ns, ns / float(medians[-2])) for name, ns in rows)
    return OperationTimes(tuple(operations), float(medians[-2]), float(medians[-1]))


def _steps_a_round(runner: Runner, X: dict[str, np.ndarray], now_ns: Callable[[], int]) -> int:
    """Steps that take about a millisecond."""
    runner.run(X)
    start_ns = now_ns()
    runner.run(X)
    spent_ns = max(now_ns() - start_ns, 1)
    return max(1, min(MAX_STEPS, round(MAX_STEPS * ROUND_NS / spent_ns)))
