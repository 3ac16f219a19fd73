"""Taking times: pinned to a core, without the garbage collector, all benchmark targets turn by turn in one process."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from benchmarks.models import Float32

Rows: TypeAlias = Sequence[Float32]
BlockTimer: TypeAlias = Callable[[Rows], list[int]]  # runs the rows, returns the time of each in ns

BLOCK_STEPS = 500
PACED_BLOCK_STEPS = 50
PACE_NS = 2_000_000
SETTLING_STEPS = 100  # untimed at the head of a block: the processor holds what the benchmark target before left


@dataclass(frozen=True)
class Spread:
    """Percentiles and the least of many times, in ns."""

    p50_ns: float
    p99_ns: float
    least_ns: float
    count: int

    @classmethod
    def of(cls, times_ns: Sequence[float]) -> Spread:
        p50, p99 = np.percentile(times_ns, (50, 99))
        return cls(float(p50), float(p99), float(min(times_ns)), len(times_ns))


@contextmanager
def quiet(core: int) -> Iterator[None]:
    """This process on one core only and the garbage collector off."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        os.sched_setaffinity(0, cores)


def hot(step: Callable[[Any], Any]) -> BlockTimer:
    """Times a Python call for each row, one right after the other."""

    def block(rows: Rows) -> list[int]:
        clock, times_ns = time.perf_counter_ns, []
        for x in rows[:SETTLING_STEPS]:
            step(x)
        for x in rows:
            start = clock()
            step(x)
            times_ns.append(clock() - start)
        return times_ns

    return block


def paced(step: Callable[[Any], Any]) -> BlockTimer:
    """The same with 2 ms from step to step, waited out busily so that the core keeps its clock."""

    def block(rows: Rows) -> list[int]:
        clock, times_ns = time.perf_counter_ns, []
        due = clock()
        for x in rows:
            due += PACE_NS
            while clock() < due:
                pass
            start = clock()
            step(x)
            times_ns.append(clock() - start)
        return times_ns

    return block


def interleave(
    benchmark_targets: Mapping[str, BlockTimer], rows: Rows, steps: int, block_steps: int
) -> dict[str, Spread]:
    """Each benchmark target's times over `steps` steps, in blocks interleaved: a noisy moment meets all of them alike.

    A first block is not counted: the first hundreds of steps of a new model are slower than all that follow.
    """
    times_ns: dict[str, list[int]] = {name: [] for name in benchmark_targets}
    for timer in benchmark_targets.values():
        timer(rows[:block_steps])
    for block in range(max(1, steps // block_steps)):
        start = block * block_steps % (len(rows) - block_steps + 1)
        for name, timer in benchmark_targets.items():
            times_ns[name] += timer(rows[start : start + block_steps])
    return {name: Spread.of(times) for name, times in times_ns.items()}


def per_row(run: Callable[[Any], Any], rounds: int, X: Any, count: int) -> Callable[[], list[float]]:
    """Times whole calls of `run(X)`, each divided by the `count` of steps that it takes."""

    def measure() -> list[float]:
        times_ns = []
        for _ in range(rounds):
            start = time.perf_counter_ns()
            run(X)
            times_ns.append((time.perf_counter_ns() - start) / count)
        return times_ns

    return measure


def interleave_runs(benchmark_targets: Mapping[str, Callable[[], list[float]]], slices: int) -> dict[str, Spread]:
    """Times a step of benchmark targets that loop by themselves, interleaved."""
    times_ns: dict[str, list[float]] = {name: [] for name in benchmark_targets}
    for _ in range(slices):
        for name, measure in benchmark_targets.items():
            times_ns[name] += measure()
    return {name: Spread.of(times) for name, times in times_ns.items()}
