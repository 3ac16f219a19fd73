"""Schedules, tails, histories, loops and several outputs in compiled code, against the float64 reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_programs import random_program

from edgernn.errors import RunnerStateError
from edgernn.program import Program
from edgernn.reference import ReferenceRunner
from edgernn.runner import Runner

TOLERANCE = 1e-4
seeds = st.integers(0, 100_000)


def samples(program: Program, steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (steps, program.inputs[0].size)).astype(np.float32)


def by_output(program: Program, frame: Any) -> dict[str, Any]:
    """What a step or flush gave, by output."""
    names = [port.name for port in program.outputs]
    if isinstance(frame, dict):
        assert list(frame) == names
        return frame
    return dict.fromkeys(names, frame) if frame is None else {names[0]: frame}


def expect_close(found: Any, expected: Any) -> None:
    assert (found is None) == (expected is None)
    if found is not None:
        assert found.shape == expected.shape
        assert np.abs(found - expected).max(initial=0) <= TOLERANCE * max(1, np.abs(expected).max(initial=0))


def expect_equal_streams(program: Program, X: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Step and flush both; what the runner gave in its steps, by output."""
    runner, reference = Runner(program), ReferenceRunner(program)
    came: dict[str, list[np.ndarray]] = {port.name: [] for port in program.outputs}
    for x in X:
        found, expected = (by_output(program, one.step(x)) for one in (runner, reference))
        for name, frame in found.items():
            expect_close(frame, expected[name])
            if frame is not None:
                came[name].append(frame.copy())
    found = by_output(program, runner.flush())
    for name, frames in reference.flush().items():
        assert len(found[name]) == len(frames)
        for y, frame in zip(found[name], frames, strict=True):
            expect_close(y, frame)
    with pytest.raises(RunnerStateError):
        runner.step(X[0] if len(X) else np.zeros(program.inputs[0].size))
    return came


@settings(max_examples=120, deadline=None)
@given(seed=seeds, steps=st.integers(0, 25), tail=st.sampled_from(["step", "flush"]))
def test_steps_and_flush_equal_the_reference(seed: int, steps: int, tail: str) -> None:
    program = random_program(seed, tail=tail)
    expect_equal_streams(program, samples(program, steps, seed))


@settings(max_examples=60, deadline=None)
@given(seed=seeds, steps=st.integers(1, 9), hop=st.integers(1, 11))
def test_staggered_windows_with_tails_equal_the_reference(seed: int, steps: int, hop: int) -> None:
    program = random_program(seed).with_window(steps, hop)
    if any(0 in port.shape for port in program.outputs):
        return  # the window is shorter than what a frame needs
    expect_equal_streams(program, samples(program, 25, seed))


@settings(max_examples=60, deadline=None)
@given(seed=seeds, window=st.sampled_from([None, (5, 2), (4, 7)]), tail=st.sampled_from(["step", "flush"]))
def test_run_is_step_bit_for_bit(seed: int, window: tuple[int, int] | None, tail: str) -> None:
    program = random_program(seed, tail=tail)
    if window is not None:
        program = program.with_window(*window)
    X = samples(program, 23, seed)
    stepped, ran = Runner(program), Runner(program)
    came: dict[str, list[tuple[int, bytes]]] = {port.name: [] for port in program.outputs}
    for t, x in enumerate(X):
        for name, frame in by_output(program, stepped.step(x)).items():
            if frame is not None:
                came[name].append((t, frame.tobytes()))
    begin = 0
    for part in np.split(X, [1, 1, 9]):
        Y, indices = ran.run(part, index=True)
        for name, frames in by_output(program, Y).items():
            where = indices[name] if isinstance(indices, dict) else indices
            expected = [pair for pair in came[name] if begin <= pair[0] < begin + len(part)]
            assert [(begin + t, y.tobytes()) for t, y in zip(where, frames, strict=True)] == expected
        begin += len(part)
    finals = [by_output(program, runner.flush()) for runner in (stepped, ran)]
    assert all(finals[0][name].tobytes() == finals[1][name].tobytes() for name in came)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, at=st.integers(0, 20), window=st.sampled_from([None, (6, 2)]))
def test_snapshots_anywhere(seed: int, at: int, window: tuple[int, int] | None) -> None:
    program = random_program(seed)
    if window is not None:
        program = program.with_window(*window)
    X = samples(program, 21, seed)
    first, second = Runner(program), Runner(program)
    first.run(X[:at])
    second.run(X[:5])
    second.flush()
    second.restore(first.snapshot())
    for one, other in ((first.run(X[at:]), second.run(X[at:])), (first.flush(), second.flush())):
        one, other = by_output(program, one), by_output(program, other)
        assert all(one[name].tobytes() == other[name].tobytes() for name in one)


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_reset_begins_anew_also_after_flush(seed: int) -> None:
    program = random_program(seed)
    runner, X = Runner(program), samples(program, 12, seed)
    results = []
    for _ in range(2):
        results.append([by_output(program, runner.run(X)), by_output(program, runner.flush())])
        runner.reset()
    for one, other in zip(*results, strict=True):
        assert all(one[name].tobytes() == other[name].tobytes() for name in one)
