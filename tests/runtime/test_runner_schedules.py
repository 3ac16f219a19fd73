"""Schedules, tails, histories, loops and several outputs in compiled code, against the float64 reference."""

from __future__ import annotations

import gc
import tracemalloc
from itertools import repeat
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_programs import random_program

from edgernn.errors import MalformedModelError, RunnerStateError
from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription, StateSlot
from edgernn.program.operations import DelayLine, ReadState, Rearrange, Schedule, StateRegion, WriteState
from edgernn.program.program import Program
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.plan import plan_of
from edgernn.runtime.runner import Runner

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


@settings(max_examples=120)
@given(seed=seeds, steps=st.integers(0, 25), tail=st.sampled_from(["step", "flush"]))
def test_steps_and_flush_equal_the_reference(seed: int, steps: int, tail: str) -> None:
    program = random_program(seed, tail=tail)
    expect_equal_streams(program, samples(program, steps, seed))


def fits(program: Program, steps: int) -> bool:
    """Whether a window is long enough for a frame of every output."""
    schedules = [output.when for output in program.description.outputs]
    return all(steps > when.first if when.at_end else when.frames(steps) > 0 for when in schedules)


@settings(max_examples=60)
@given(seed=seeds, steps=st.integers(1, 9), hop=st.integers(1, 11))
def test_staggered_windows_with_tails_equal_the_reference(seed: int, steps: int, hop: int) -> None:
    program = random_program(seed)
    if not fits(program, steps):
        with pytest.raises(MalformedModelError, match="too short"):
            program.with_window(steps, hop)
        return
    program = program.with_window(steps, hop)
    expect_equal_streams(program, samples(program, 25, seed))


@settings(max_examples=60)
@given(seed=seeds, window=st.sampled_from([None, (5, 2), (4, 7)]), tail=st.sampled_from(["step", "flush"]))
def test_run_is_step_bit_for_bit(seed: int, window: tuple[int, int] | None, tail: str) -> None:
    program = random_program(seed, tail=tail)
    if window is not None and fits(program, window[0]):
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


@settings(max_examples=60)
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
    for pair in ((first.run(X[at:]), second.run(X[at:])), (first.flush(), second.flush())):
        one, other = (by_output(program, frames) for frames in pair)
        assert all(one[name].tobytes() == other[name].tobytes() for name in one)


@settings(max_examples=30)
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


def upsampled(time_axis: int) -> Program:
    """Two frames in each step, from the step before, (2, 3) or (3, 2); and the input itself."""
    history = DelayLine(
        name="delay",
        inputs=("x",),
        outputs=("late",),
        ring=StateRegion("ring"),
        position=StateRegion("position"),
        length=2,
        fill=9.0,
        size=6,
        read=Schedule(first=1),
    )
    shape = (2, 3) if time_axis == 0 else (3, 2)
    frames = Rearrange(name="frames", inputs=("late",), outputs=("y",), shape=shape, when=Schedule(first=1))
    description = ProgramDescription(
        inputs=(InputDescription("x", (6,)),),
        outputs=(
            OutputDescription("y", "y", per_frame=True, time_axis=time_axis, when=Schedule(first=1), frames=2),
            OutputDescription("x", "x", per_frame=True),
        ),
        state=(StateSlot("ring", (2, 6)), StateSlot("position", (1,), "int32")),
        operations=(history, frames),
        tail_steps=1,
    )
    return Program(description, {})


@pytest.mark.parametrize("time_axis", [0, 1])
def test_several_frames_in_a_step_are_laid_end_to_end(time_axis: int) -> None:
    program = upsampled(time_axis)
    runner, X = Runner(program), np.arange(24, dtype=np.float32).reshape(4, 6)
    assert runner.step(X[0])["y"] is None
    assert runner.step(X[1])["y"].tolist() == X[0].reshape(program.outputs[0].shape).tolist()
    Y, indices = runner.run(X[2:], index=True)
    frames = np.moveaxis(X.reshape(4, *program.outputs[0].shape), 1 + time_axis, 1).reshape(8, 3)
    assert Y["y"].tolist() == frames[2:6].tolist()
    assert (indices["y"].tolist(), indices["x"].tolist()) == ([0, 0, 1, 1], [0, 1])
    flushed = runner.flush()
    assert flushed["y"].tolist() == frames[6:].tolist()
    assert flushed["x"].shape == (0, 6)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "float64"])
def test_a_history_holds_numbers_of_any_type(dtype: str) -> None:
    """Taps of a ring, put through a state, turned round; with padding behind the end."""
    when = Schedule(first=1)
    operations = (
        DelayLine(
            name="past",
            inputs=("x",),
            outputs=("taps",),
            ring=StateRegion("ring"),
            position=StateRegion("position"),
            length=3,
            taps=2,
            dilation=2,
            fill=-7.0,
            size=5,
            dtype=dtype,
            read=when,
        ),
        WriteState(
            name="write", inputs=("taps",), outputs=(), region=StateRegion("kept"), size=10, dtype=dtype, when=when
        ),
        ReadState(
            name="read",
            inputs=(),
            outputs=("kept",),
            region=StateRegion("kept"),
            shape=(10,),
            latched=True,
            dtype=dtype,
            when=when,
        ),
        Rearrange(name="turn", inputs=("kept", "taps"), outputs=("y",), shape=(20,), indices="order", when=when),
    )
    description = ProgramDescription(
        inputs=(InputDescription("x", (5,), dtype),),
        outputs=(OutputDescription("y", "y", per_frame=True, when=when),),
        state=(
            StateSlot("ring", (3, 5), dtype),
            StateSlot("position", (1,), "int32"),
            StateSlot("kept", (10,), dtype),
        ),
        operations=operations,
        tail_steps=1,
    )
    program = Program(description, {"order": np.arange(20, dtype=np.int32)[::-1].copy()})
    runner, reference = Runner(program), ReferenceRunner(program)
    X = np.random.default_rng(0).integers(-100, 100, (9, 5)).astype(dtype)
    found = runner.run(X)
    assert found.dtype == dtype
    assert found.tolist() == reference.run(X).tolist()
    assert runner.flush().tolist() == [frame.tolist() for frame in reference.flush()["y"]]


def test_a_position_that_a_user_wrote_cannot_lead_outside_of_the_ring() -> None:
    runner = Runner(upsampled(0))
    for position in (-5, 2, 2**31 - 1):
        runner.state["position"][...] = position
        runner.step(np.ones(6))
        assert 0 <= np.asarray(runner.state["position"])[0] < 2


def test_steps_of_several_outputs_allocate_nothing() -> None:
    program = random_program(
        next(seed for seed in range(100) if len(plan_of(random_program(seed)).output_schedules) == 3)
    )
    step, x = Runner(program).step, samples(program, 1)[0]
    for _ in range(100):
        step(x)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in repeat(None, 100_000):
            step(x)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert max(after, peak) - before < 1000
