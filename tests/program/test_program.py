"""A Program refuses everything inconsistent, and says what and where."""

from __future__ import annotations

import pickle
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pytest

from edgernn.errors import MalformedModelError
from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription, StateSlot
from edgernn.program.encoding import RepeatHeader, nest_listed
from edgernn.program.metadata import Metadata
from edgernn.program.operations import (
    EVERY_STEP,
    DelayLine,
    Dense,
    Gru,
    PutFrame,
    ReadState,
    Rearrange,
    Schedule,
    StateRegion,
    TakeFrame,
    Unary,
    WriteState,
)
from edgernn.program.program import Program
from edgernn.reference.runner import ReferenceRunner


def gru_description(**changes: Any) -> ProgramDescription:
    description = ProgramDescription(
        inputs=(InputDescription("x", (6,)),),
        outputs=(OutputDescription("y", "y", per_frame=True),),
        state=(StateSlot("gru.h", (8,)),),
        operations=(
            Gru(
                name="gru",
                inputs=("x",),
                outputs=("h",),
                W="W",
                R="R",
                h=StateRegion("gru.h"),
                linear_before_reset=True,
            ),
            Dense(name="head", inputs=("h",), outputs=("y",), W="D"),
        ),
    )
    return msgspec.structs.replace(description, **changes)


def gru_weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {"W": (24, 6), "R": (24, 8), "D": (3, 8)}
    return {name: rng.uniform(-0.3, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}


def test_ports_states_and_counts() -> None:
    program = Program(gru_description(), gru_weights())
    assert [(port.name, port.shape, port.size, port.rate) for port in program.outputs] == [("y", (3,), 3, Fraction(1))]
    assert program.mode == "continuous"
    assert program.multiply_accumulates == 24 * 6 + 24 * 8 + 3 * 8
    assert not program.weights["W"].flags.writeable


def test_window_shapes_frames_and_rate() -> None:
    program = Program(gru_description(), gru_weights()).with_window(10, 3)
    assert (program.mode, program.window_steps, program.warmup_steps) == ("windowed", 10, 9)
    assert program.outputs[0].shape == (10, 3)
    assert program.outputs[0].rate == Fraction(1, 3)


def test_windows_begin_fresh_and_end_on_the_hop() -> None:
    program = Program(gru_description(), gru_weights())
    X = np.random.default_rng(1).normal(size=(29, 6))
    windows = ReferenceRunner(program.with_window(10, 4)).run(X)
    expected = [ReferenceRunner(program).run(X[start : start + 10]) for start in range(0, 20, 4)]
    np.testing.assert_array_equal(windows, expected)


def test_description_survives_json() -> None:
    description = gru_description(metadata=Metadata(labels=("a", "b", "c"), rate_hz=50.0))
    assert msgspec.json.decode(msgspec.json.encode(description), type=ProgramDescription) == description


def test_program_can_be_handed_to_another_process() -> None:
    program = Program(gru_description(), gru_weights())
    assert pickle.loads(pickle.dumps(program)).hash == program.hash


def test_hash_covers_weights_but_not_labels() -> None:
    program = Program(gru_description(), gru_weights())
    assert program.with_metadata(Metadata(labels=("a", "b", "c"))).hash == program.hash
    weights = gru_weights()
    weights["W"][0, 0] += 1
    assert Program(gru_description(), weights).hash != program.hash
    assert program.with_window(10, 3).hash != program.hash


def replaced(index: int, **changes: Any) -> dict[str, Any]:
    operations = list(gru_description().operations)
    operations[index] = msgspec.structs.replace(operations[index], **changes)
    return {"operations": tuple(operations)}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (replaced(0, R="D"), "R has shape"),
        (replaced(0, W="missing"), "weight missing is missing"),
        (replaced(0, clip=-1.0), "clip is -1.0"),
        (replaced(0, activations=()), "0 activations"),
        (replaced(0, h=StateRegion("other")), "state other, which does not exist"),
        (replaced(0, h=StateRegion("gru.h", 1)), "elements 1 to 8"),
        (replaced(1, inputs=("later",)), "reads later"),
        (replaced(1, inputs=("x",)), "has shape"),
        (replaced(1, outputs=("h",)), "writes h, which is written already"),
        (replaced(1, name="gru"), "two operations are called 'gru'"),
        ({"inputs": ()}, "at least one input"),
        ({"inputs": (InputDescription("x", (0,)),)}, "empty or too large"),
        ({"inputs": (InputDescription("x" * 600, (6,)),)}, "longer than"),
        ({"outputs": (OutputDescription("y", "nowhere", per_frame=True),)}, "reads nowhere"),
        ({"outputs": (OutputDescription("y", "y", per_frame=True, time_axis=2),)}, "time axis 2"),
        ({"state": (StateSlot("gru.h", (1 << 20, 1 << 20)),)}, "too large"),
        ({"state": (StateSlot("gru.h", (8,), initial="W"),)}, "initial content"),
    ],
)
def test_inconsistent_descriptions_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(MalformedModelError, match=words):
        Program(gru_description(**changes), gru_weights())


def test_weights_must_be_finite() -> None:
    weights = gru_weights()
    weights["D"][1, 2] = np.nan
    with pytest.raises(MalformedModelError, match="weight D holds NaN"):
        Program(gru_description(), weights)


@pytest.mark.parametrize(("steps", "hop"), [(0, 1), (10, 0), (10**9, 1)])
def test_window_is_bounded(steps: int, hop: int) -> None:
    with pytest.raises(MalformedModelError, match="must be from 1"):
        Program(gru_description(), gru_weights()).with_window(steps, hop)


def test_state_must_be_read_before_it_is_written() -> None:
    region = StateRegion("s")
    write = WriteState(name="write", inputs=("x",), outputs=(), region=region, size=2)
    read = ReadState(name="read", inputs=(), outputs=("old",), region=region, shape=(2,))
    description = ProgramDescription(
        inputs=(InputDescription("x", (2,)),),
        outputs=(OutputDescription("y", "old", per_frame=True),),
        state=(StateSlot("s", (2,)),),
        operations=(read, write),
    )
    np.testing.assert_array_equal(ReferenceRunner(Program(description, {})).run([[1, 2], [3, 4]]), [[0, 0], [1, 2]])
    with pytest.raises(MalformedModelError, match="after another operation has changed it"):
        Program(msgspec.structs.replace(description, operations=(write, read)), {})


def test_rearrange_indices_stay_inside() -> None:
    description = ProgramDescription(
        inputs=(InputDescription("x", (3,)),),
        outputs=(OutputDescription("y", "y", per_frame=True),),
        operations=(Rearrange(name="pick", inputs=("x",), outputs=("y",), shape=(2,), indices="I"),),
    )
    Program(description, {"I": np.array([2, 0], np.int32)})
    for bad in ([0, 3], [-1, 0]):
        with pytest.raises(MalformedModelError, match="points outside"):
            Program(description, {"I": np.array(bad, np.int32)})


def scheduled(*changes: tuple[str, dict[str, Any]], **fields: Any) -> Program:
    """Taps around every second frame, in a loop a function of each; `changes` to operations by name."""
    slow = Schedule(1, 2, 1)
    made = {
        "taps": DelayLine(
            name="taps",
            inputs=("x",),
            outputs=("taps",),
            ring=StateRegion("ring"),
            position=StateRegion("position"),
            length=3,
            taps=3,
            size=2,
            read=slow,
        ),
        "loop": RepeatHeader(name="loop", inputs=(), outputs=(), count=3, body=3, when=slow),
        "take": TakeFrame(name="take", inputs=("taps",), outputs=("tap",), loop="loop", when=slow),
        "tanh": Unary(name="tanh", inputs=("tap",), outputs=("small",), function="Tanh", when=slow),
        "put": PutFrame(name="put", inputs=("small",), outputs=("y",), loop="loop", count=3, when=slow),
    }
    for name, change in changes:
        made[name] = msgspec.structs.replace(made[name], **change)
    description = ProgramDescription(
        inputs=(InputDescription("x", (2,)),),
        outputs=(OutputDescription("y", "y", per_frame=True, when=slow),),
        state=(StateSlot("ring", (3, 2)), StateSlot("position", (1,), "int32")),
        operations=nest_listed(made.values()),
        tail_steps=1,
    )
    return Program(msgspec.structs.replace(description, **fields), {})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("loop", {"when": Schedule(3, 2, 1)}), "take .*does not keep to the steps of loop"),
        (("tanh", {"when": Schedule(2, 2, 1)}), "tanh .*reads tap in steps in which it is not written"),
        (("take", {"when": EVERY_STEP}), "take .*reads taps in steps in which it is not written"),
        (("put", {"when": Schedule(1, 4, 3)}), "output y comes in steps in which y is not written"),
        (("taps", {"when": Schedule(0, 4)}), "taps .*gives taps in steps in which it takes no frame"),
        (("taps", {"read": Schedule(1, 2, -1)}), "reads taps in steps in which it is not written"),
        (("taps", {"when": Schedule(0, 1, 1)}), "taps .*reads x in steps in which it is not written"),
    ],
)
def test_schedules_that_contradict_each_other_are_refused(change: tuple[str, dict[str, Any]], words: str) -> None:
    assert scheduled().delay_steps == 1
    with pytest.raises(MalformedModelError, match=words):
        scheduled(change)


def test_a_tail_must_bring_the_last_frames() -> None:
    with pytest.raises(MalformedModelError, match=r"output y comes up to 1 steps behind the end .*the tail has 0"):
        scheduled(tail_steps=0)
