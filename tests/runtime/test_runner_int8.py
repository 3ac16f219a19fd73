"""A runner keeps its whole contract with int8 programs: windows, states in the model's units, snapshots, counts."""

import numpy as np
import pytest
from int8_programs import int8_program
from small_programs import cell_program, recording

import edgernn
from edgernn.errors import InputError, NonFiniteInputError, RunnerStateError
from edgernn.program.program import Program
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.runner import Runner


@pytest.fixture(scope="module")
def program() -> Program:
    """A quantized GRU with int32 states that takes counts of 0.01."""
    return edgernn.quantize(cell_program("gru"), recording(3), states="s32", count_size=0.01)


@pytest.mark.parametrize("per_frame", [True, False])
def test_windows(program: Program, per_frame: bool) -> None:
    windowed = program.with_window(12, 5)
    X = recording(3, 80)
    runner = Runner(windowed)
    expected = ReferenceRunner(windowed).run(X).astype(np.float32)
    assert runner.run(X).tobytes() == expected.tobytes()
    runner.reset()
    stepped = [y.copy() for y in (runner.step(x) for x in X) if y is not None]
    assert np.array(stepped).tobytes() == expected.tobytes()


def test_states_are_read_and_written_in_the_models_units(program: Program) -> None:
    runner = Runner(program)
    state = runner.state["cell.h"]
    state[...] = [0.5, -0.25, 2.0**-31, 0.6 * 2.0**-31, 1.0, 7.0, -1.0, -7.0]
    integers = runner._memory.plan.slots[0].view(runner._memory.state)[0]
    largest = (1 << 31) - 1
    assert integers.tolist() == [1 << 30, -(1 << 29), 1, 1, largest, largest, -largest - 1, -largest - 1]
    assert np.asarray(state)[:3].tolist() == [0.5, -0.25, 2.0**-31]
    with pytest.raises(NonFiniteInputError):
        state[0] = np.nan


def test_snapshots_go_on_bit_for_bit(program: Program) -> None:
    X = recording(3, 60)
    runner = Runner(program)
    runner.run(X[:30])
    blob = runner.snapshot()
    expected = runner.run(X[30:])
    other = Runner(program)
    other.restore(blob)
    assert other.run(X[30:]).tobytes() == expected.tobytes()


def test_counts_give_the_integers_of_the_reference(program: Program) -> None:
    runner, reference = Runner(program), ReferenceRunner(program)
    for counts in np.rint(recording(3, 200) * 100).astype(np.int64):
        found = runner.step_raw(counts)
        assert found.dtype == np.int32
        assert found.tolist() == reference.step_raw(counts).tolist()
    X = recording(3, 5)
    assert runner.run(X).tobytes() == np.array([reference.step(x) for x in X], np.float32).tobytes()


def test_counts_of_windows_and_of_several_outputs(program: Program) -> None:
    windowed = program.with_window(4, 3)
    runner, reference = Runner(windowed), ReferenceRunner(windowed)
    for counts in np.rint(recording(3, 20) * 100).astype(np.int64):
        found, expected = runner.step_raw(counts), reference.step_raw(counts)
        assert (found is None) == (expected is None)
        assert found is None or found.tolist() == expected.tolist()
    both = Runner(int8_program("lstm", 3, 8)).step_raw([1, 2, 3])
    assert sorted(both) == ["h", "y"]
    assert {array.dtype for array in both.values()} == {np.dtype(np.int32)}


def test_counts_must_be_whole_numbers_of_the_right_shape(program: Program) -> None:
    runner = Runner(program)
    for wrong in ([1.5, 2.0, 3.0], [1, 2], ["a", "b", "c"], {"z": [1, 2, 3]}):
        with pytest.raises(InputError):
            runner.step_raw(wrong)
    assert runner._memory.steps == 0
    runner.flush()
    with pytest.raises(RunnerStateError):
        runner.step_raw([1, 2, 3])


def test_programs_that_take_no_counts() -> None:
    for program in (cell_program("gru"), edgernn.quantize(cell_program("gru"), recording(3))):
        with pytest.raises(InputError, match="count_size"):
            Runner(program).step_raw([1, 2, 3])


def test_operations_kept_in_float_run_beside_integers() -> None:
    program = edgernn.quantize(cell_program("lstm"), recording(3), keep_float=["head"])
    X = recording(3, 100)
    found, expected = Runner(program).run(X), ReferenceRunner(program).run(X)
    assert np.abs(found - expected).max() < 1e-5
