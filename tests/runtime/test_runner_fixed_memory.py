"""A step allocates nothing, and what a step function needs lives exactly as long as it does."""

import gc
import os
import sys
import tracemalloc
import weakref
from collections.abc import Callable
from itertools import repeat
from typing import Any

import numpy as np
import psutil
import pytest
from numba.core.runtime import _nrt_python, rtsys
from recurrent import Recurrent

from edgernn.errors import InputError
from edgernn.kernels.objects import layout_is_known
from edgernn.runtime.runner import Runner

MODEL = Recurrent("GRU", hidden_size=16)
STEPS = 1_000_000


def step_often(step: Callable[[Any], Any], sample: Any) -> None:
    for _ in repeat(None, STEPS):
        step(sample)


@pytest.mark.parametrize("sample", [np.ones(6, np.float32), np.ones(6), [0.5] * 6], ids=["float32", "float64", "list"])
def test_a_million_steps_allocate_nothing(sample: Any) -> None:
    assert layout_is_known(), "this Python uses the slow step, of which allocations are not promised"
    step = Runner(MODEL.program()).step
    step(sample)
    gc.collect()
    process = psutil.Process(os.getpid())
    _nrt_python.memsys_enable_stats()
    numba_before, resident_before = rtsys.get_allocation_stats(), process.memory_info().rss
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        step_often(step, sample)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rtsys.get_allocation_stats() == numba_before
    assert after - before < 1000
    assert peak - before < 1000
    assert process.memory_info().rss - resident_before < 1_000_000


def test_references_are_counted_right() -> None:
    runner, sample = Runner(MODEL.program().with_window(3, 3)), np.zeros(6, np.float32)
    objects = [next(y for y in (runner.step(sample) for _ in range(3)) if y is not None), sample, runner.step]
    before = [sys.getrefcount(thing) for thing in objects]
    nones = sys.getrefcount(None)
    for _ in range(9000):
        runner.step(sample)
    for _ in range(1000):
        with pytest.raises(InputError):
            runner.step(sample[:5])
    assert [sys.getrefcount(thing) for thing in objects] == before
    assert abs(sys.getrefcount(None) - nones) < 100


def test_a_step_function_outlives_its_runner() -> None:
    program, X = MODEL.program(), MODEL.samples(20)
    expected = Runner(program).run(X)
    step = Runner(program).step
    gc.collect()
    np.ones(1_000_000)  # takes the place of whatever was freed too early
    assert np.array([step(x).copy() for x in X]).tobytes() == expected.tobytes()
    assert step([0] * 6) is not None  # through the slow step


def test_a_result_outlives_its_runner() -> None:
    program, X = MODEL.program(), MODEL.samples(1)
    result = Runner(program).step(X[0])
    gc.collect()
    assert result.tobytes() == Runner(program).run(X)[0].tobytes()


def test_a_runner_is_freed_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        runner = Runner(MODEL.program())
        runner.step([0.0] * 6)
        memory = weakref.ref(runner._memory)
        step = runner.step
        del runner
        assert memory() is not None
        del step
        assert memory() is None
    finally:
        gc.enable()


def test_a_million_steps_in_compiled_code_keep_memory_flat() -> None:
    runner, X = Runner(MODEL.program()), MODEL.samples(1000)
    Y = np.empty((1000, 4), np.float32)
    runner.run_into(X, Y)
    before = psutil.Process(os.getpid()).memory_info().rss
    for _ in range(STEPS // 1000):
        runner.run_into(X, Y)
    assert psutil.Process(os.getpid()).memory_info().rss - before < 1_000_000
