"""Where the time of a step goes.

Nothing is built into the step to measure it. The table of its operations is run up to the first, up to the second and
so on, interleaved; what one more operation adds is its time. The parts so add up to the whole, which is the time of an
ordinary step within the noise of the machine; both are shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import numpy as np

from edgernn.latency.targets import SAMPLES, random_frames
from edgernn.program.program import Program
from edgernn.runtime.memory import RunnerMemory

ROUNDS = 60
ROUND_NS = 1_000_000  # of steps between two looks at the clock
AROUND = "samples in, outputs out"


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
    memories = plain, partial = RunnerMemory(program), RunnerMemory(program)
    names = plain.plan.operation_names
    # rows of one operation follow each other: where the last of each ends
    ends = [k + 1 for k, name in enumerate(names) if k + 1 == len(names) or names[k + 1] != name]
    steps = _steps_a_round(plain, now_ns)
    columns = [rows[:steps] for rows in random_frames(program).values()]
    outputs = [np.empty((steps, *place.shape), place.dtype) for place in plain.plan.outputs]

    def round_ns(memory: RunnerMemory) -> float:
        memory.reset()
        start_ns = now_ns()
        memory.run(columns, outputs)
        return (now_ns() - start_ns) / steps

    for memory in memories:
        round_ns(memory)  # caches hold them
    limits = [0, *ends]
    times_ns = np.zeros((len(limits) + 1, ROUNDS))  # up to each limit, then of the ordinary step
    for k in range(ROUNDS):
        for place, limit in enumerate(limits):
            partial.limit_operations(limit)
            times_ns[place, k] = round_ns(partial)
        times_ns[-1, k] = round_ns(plain)
    medians = np.median(times_ns, axis=1)
    added = np.diff(medians[:-1], prepend=0.0).tolist()
    kinds = {operation.name: type(operation).__name__ for operation in program.operations}
    rows = zip((AROUND, *(names[end - 1] for end in ends)), added, strict=True)
    whole_ns = float(medians[-2])
    operations = tuple(OperationTime(name, kinds.get(name, ""), ns, ns / whole_ns) for name, ns in rows)
    return OperationTimes(operations, whole_ns, float(medians[-1]))


def _steps_a_round(memory: RunnerMemory, now_ns: Callable[[], int]) -> int:
    """Steps that take about a millisecond."""
    columns = list(random_frames(memory.program).values())
    outputs = [np.empty((SAMPLES, *place.shape), place.dtype) for place in memory.plan.outputs]
    memory.run(columns, outputs)
    start_ns = now_ns()
    memory.run(columns, outputs)
    spent_ns = max(now_ns() - start_ns, 1)
    return max(1, min(SAMPLES, round(SAMPLES * ROUND_NS / spent_ns)))
