"""What a Plan holds: shared, read-only, and split into what states need and what only makes outputs."""

import gc
import weakref

import msgspec
import numpy as np
import pytest
from recurrent import Recurrent

from edgernn.errors import MalformedModelError, UnsupportedModelError
from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription
from edgernn.program.operations import Lookup, Schedule, Unary
from edgernn.program.program import Program
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.plan import Plan, plan_of
from edgernn.runtime.runner import Runner

MODEL = Recurrent("LSTM", hidden_size=20, layers=2)


def test_runners_share_the_plan_of_their_program() -> None:
    program = MODEL.program()
    plan = plan_of(program)
    assert plan_of(program) is plan
    assert Runner(program)._memory.plan is plan
    assert plan_of(MODEL.program()) is not plan


def test_a_plan_goes_with_its_program() -> None:
    program = MODEL.program()
    plan = weakref.ref(plan_of(program))
    del program
    gc.collect()
    assert plan() is None


def test_a_plan_cannot_be_changed() -> None:
    plan = Plan(MODEL.program())
    for array in (plan.weights, plan.table, plan.initial_state):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_the_table_has_no_address_but_those_of_functions() -> None:
    """Everything else is an offset, so that many states and arenas can share the table."""
    plan = Plan(MODEL.program())
    assert plan.table[:, 1:].max() <= plan.weight_bytes
    assert (plan.table[:, 0] > plan.weight_bytes).all()


def test_operations_that_only_make_outputs_come_last() -> None:
    plan = Plan(MODEL.program())
    assert plan.operation_names == ("cell0", "cell1", "head", "softmax")
    assert plan.state_row_count == 2


def test_frames_of_a_window_are_collected_in_every_step() -> None:
    plan = Plan(MODEL.program().with_window(10, 5))
    assert plan.operation_names == ("cell0", "cell1", "head", "softmax", "scores", "scores")
    assert plan.state_row_count == 5
    assert plan.copies == 2
    assert plan.frames[0].shape == (10, 4)


def test_sizes() -> None:
    program = MODEL.program()
    plan = Plan(program)
    needed = sum(array.nbytes for array in program.weights.values())
    assert needed <= plan.weight_bytes < 2 * needed
    assert 4 * 4 * 20 <= plan.state_bytes == plan.copy_bytes
    assert plan.weights.ctypes.data % 64 == 0


def test_initial_states_are_the_programs() -> None:
    program = MODEL.program()
    slots = (msgspec.structs.replace(program.state[0], initial="start"), *program.state[1:])
    start = np.arange(20, dtype=np.float32)
    changed = type(program)(
        msgspec.structs.replace(program.description, state=slots), {**program.weights, "start": start}
    )
    runner = Runner(changed)
    assert np.asarray(runner.state["h0"]).tolist() == start.tolist()
    assert not np.asarray(runner.state["c0"]).any()
    runner.step([0.0] * 6)
    runner.reset()
    assert np.asarray(runner.state["h0"]).tolist() == start.tolist()


def test_a_window_that_needs_too_much_memory_is_refused() -> None:
    program = MODEL.program()
    with pytest.raises(MalformedModelError, match="shorter window"):
        Plan(program.with_window(1_000_000, 1))
    outputs = (OutputDescription("scores", "scores", per_frame=False),)
    last_only = type(program)(msgspec.structs.replace(program.description, outputs=outputs), program.weights)
    with pytest.raises(MalformedModelError, match="shorter window"):
        Plan(last_only.with_window(10_000_000, 1))
    assert Plan(last_only.with_window(10_000_000, 5_000_000)).copies == 2


@pytest.mark.parametrize(("steps", "hop"), [(1, 1), (5, 2), (5, 5), (3, 7)])
def test_frames_within_counts_outputs(steps: int, hop: int) -> None:
    plan = Plan(MODEL.program().with_window(steps, hop))
    due = {steps - 1 + n * hop for n in range(100)}
    assert [plan.frames_within(t) for t in range(40)] == [len([d for d in due if d < t]) for t in range(40)]


def several_rates(count: int) -> Program:
    """Outputs of the hyperbolic tangent of x, each in every so many steps."""
    schedules = [Schedule(first=period - 1, period=period) for period in range(1, count + 1)]
    description = ProgramDescription(
        inputs=(InputDescription("x", (1,)),),
        outputs=tuple(OutputDescription(f"y{when.period}", f"y{when.period}", True, when=when) for when in schedules),
        operations=tuple(
            Unary(name=f"y{when.period}", inputs=("x",), outputs=(f"y{when.period}",), function="Tanh", when=when)
            for when in schedules
        ),
    )
    return Program(description, {})


def test_a_runner_tells_62_schedules_of_outputs_apart() -> None:
    program = several_rates(62)
    runner, reference = Runner(program), ReferenceRunner(program)
    for step in range(130):
        x = np.array([0.01 * step], np.float32)
        found, expected = runner.step(x), reference.step(x)
        assert {name for name, y in found.items() if y is not None} == {
            f"y{k}" for k in range(1, 63) if (step + 1) % k == 0
        }
        assert found.keys() == expected.keys()
    with pytest.raises(UnsupportedModelError, match="63 different paces, the most is 62"):
        Plan(several_rates(63))


def test_a_table_may_have_more_rows_than_a_million() -> None:
    rows = (1 << 20) + 5
    description = ProgramDescription(
        inputs=(InputDescription("id", (1,), "int32"),),
        outputs=(OutputDescription("y", "y", per_frame=True),),
        operations=(Lookup(name="embed", inputs=("id",), outputs=("y",), table="table"),),
    )
    program = Program(description, {"table": np.arange(rows, dtype=np.float32)[:, None]})
    assert plan_of(program).id_rows["id"].tolist() == [rows]
    assert Runner(program).step(np.array([rows - 1], np.int32)).item() == rows - 1
