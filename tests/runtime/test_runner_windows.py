"""Sliding windows: staggered states give what the model gives on each window by itself."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recurrent import Recurrent

from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription, StateSlot
from edgernn.program.operations import Binary, Gru, StateRegion
from edgernn.program.program import Program
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.runner import Runner

STEPS = 60
windows = st.tuples(st.integers(1, 25), st.integers(1, 30))  # steps, hop


def last_step_program(model: Recurrent, steps: int, hop: int) -> Program:
    """The model on windows; scores of the last step of each."""
    program = model.program()
    outputs = (OutputDescription("scores", "scores", per_frame=False),)
    return Program(msgspec.structs.replace(program.description, outputs=outputs), program.weights).with_window(
        steps, hop
    )


@settings(max_examples=40)
@given(window=windows, kind=st.sampled_from(["GRU", "LSTM", "RNN"]), hidden_size=st.integers(1, 20))
def test_each_window_equals_onnxruntime(window: tuple[int, int], kind: str, hidden_size: int) -> None:
    (steps, hop), model = window, Recurrent(kind, hidden_size, layers=2)
    X = model.samples(STEPS)
    Y, indices = Runner(last_step_program(model, steps, hop)).run(X, index=True)
    due = list(range(steps - 1, STEPS, hop))
    assert indices.tolist() == due
    for y, t in zip(Y, due, strict=True):
        assert np.abs(y - model.onnxruntime_scores(X[t - steps + 1 : t + 1])[-1]).max() < 1e-5


@settings(max_examples=40)
@given(window=windows)
def test_all_frames_of_a_window_equal_the_reference(window: tuple[int, int]) -> None:
    model = Recurrent("GRU", 9)
    program, X = model.program().with_window(*window), model.samples(STEPS)
    Y = Runner(program).run(X)
    assert Y.shape == (len(Y), window[0], 4)
    assert np.abs(Y - ReferenceRunner(program).run(X)).max(initial=0) < 1e-6


def test_step_returns_none_between_windows_and_equals_run() -> None:
    model = Recurrent("LSTM", 12)
    program, X = last_step_program(model, 10, 4), model.samples(STEPS)
    runner = Runner(program)
    stepped = [None if (y := runner.step(x)) is None else y.copy() for x in X]
    assert [t for t, y in enumerate(stepped) if y is not None] == list(range(9, STEPS, 4))
    expected = Runner(program).run(X)
    assert np.array([y for y in stepped if y is not None]).tobytes() == expected.tobytes()


@settings(max_examples=25)
@given(window=windows, at=st.integers(0, STEPS))
def test_snapshot_in_the_middle_of_a_window(window: tuple[int, int], at: int) -> None:
    model = Recurrent("GRU", 7)
    program, X = model.program().with_window(*window), model.samples(STEPS)
    expected = Runner(program).run(X)
    first, second = Runner(program), Runner(program)
    head = first.run(X[:at])
    second.run(X[: STEPS // 2])
    second.restore(first.snapshot())
    assert np.concatenate([head, second.run(X[at:])]).tobytes() == expected.tobytes()


def test_time_axis_and_several_outputs() -> None:
    """One output has its time axis in the middle, one is of the last step; the state begins at a given value."""
    random = np.random.default_rng(2)
    weights = {
        "W": random.uniform(-0.5, 0.5, (12, 4)).astype(np.float32),
        "R": random.uniform(-0.5, 0.5, (12, 4)).astype(np.float32),
        "start": random.uniform(-1, 1, 4).astype(np.float32),
        "shift": random.uniform(-1, 1, (3, 4)).astype(np.float32),
    }
    description = ProgramDescription(
        inputs=(InputDescription("x", (4,)),),
        outputs=(
            OutputDescription("frames", "shifted", per_frame=True, time_axis=1),
            OutputDescription("last", "h", per_frame=False),
        ),
        state=(StateSlot("state", (4,), initial="start"),),
        operations=(
            Gru(
                name="gru",
                inputs=("x",),
                outputs=("h",),
                W="W",
                R="R",
                h=StateRegion("state"),
                linear_before_reset=True,
            ),
            Binary(name="shift", inputs=("h",), outputs=("shifted",), function="Add", constant="shift"),
        ),
    )
    program = Program(description, weights).with_window(5, 3)
    X = random.standard_normal((30, 4)).astype(np.float32)
    found, expected = Runner(program).run(X), ReferenceRunner(program).run(X)
    assert found["frames"].shape == (9, 3, 5, 4)
    assert np.abs(found["frames"] - expected["frames"]).max() < 1e-6
    assert np.abs(found["last"] - expected["last"]).max() < 1e-6
    runner = Runner(program)
    assert runner.step(X[0]) is None
    assert set(runner.run(X[1:])) == {"frames", "last"}


def test_states_of_all_copies_are_visible() -> None:
    model = Recurrent("GRU", 7)
    runner = Runner(model.program().with_window(10, 3))
    runner.run(model.samples(4))
    content = np.asarray(runner.state["h0"])
    assert content.shape == (4, 7)
    assert content.any(axis=1).tolist() == [True, True, False, False]
    assert runner.state_is_finite()


@pytest.mark.parametrize("hop", [1, 7])
def test_reset_begins_all_windows_anew(hop: int) -> None:
    model = Recurrent("GRU", 7)
    runner, X = Runner(model.program().with_window(10, hop)), model.samples(STEPS)
    first = runner.run(X)
    runner.reset()
    assert runner.run(X).tobytes() == first.tobytes()
