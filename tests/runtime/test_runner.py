"""What a Runner promises of step, run, flush, reset, state and snapshots."""

import inspect
import threading
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recurrent import Recurrent

from edgernn.errors import InputError, NonFiniteInputError, ProgramFileError, RunnerStateError
from edgernn.kernels import calls
from edgernn.program.description import InputDescription, OutputDescription, Port, ProgramDescription, StateSlot
from edgernn.program.operations import Binary, Dense, ReadState, StateRegion, Unary, WriteState
from edgernn.program.program import Program
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.runner import Runner, warm

GRU = Recurrent("GRU", hidden_size=13)
LSTM = Recurrent("LSTM", hidden_size=16, layers=2, packed_state=True)


def two_ports() -> Program:
    """Outputs ``sum = a + b`` and ``total``, the running total of the sum, before this step."""
    description = ProgramDescription(
        inputs=(InputDescription("a", (2,)), InputDescription("b", (2,))),
        outputs=(OutputDescription("sum", "sum", per_frame=True), OutputDescription("before", "old", per_frame=True)),
        state=(StateSlot("total", (2,), initial="start"),),
        operations=(
            Binary(name="add", inputs=("a", "b"), outputs=("sum",), function="Add"),
            ReadState(name="read", inputs=(), outputs=("old",), region=StateRegion("total"), shape=(2,)),
            Binary(name="accumulate", inputs=("old", "sum"), outputs=("new",), function="Add"),
            WriteState(name="write", inputs=("new",), outputs=(), region=StateRegion("total"), size=2),
        ),
    )
    return Program(description, {"start": np.array([100, 200], np.float32)})


@pytest.mark.parametrize("model", [GRU, LSTM])
def test_run_is_step_bit_for_bit(model: Recurrent) -> None:
    X = model.samples(200)
    stepped, ran = Runner(model.program()), Runner(model.program())
    expected = np.array([stepped.step(x).copy() for x in X])
    parts = [ran.run(part) for part in np.split(X, [1, 1, 70, 199])]
    assert np.concatenate(parts).tobytes() == expected.tobytes()


@pytest.mark.parametrize("compiled", [True, False])
def test_every_form_of_a_sample_gives_the_same(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the compiled entry, and with the slow step that takes its place where Python is built in another way."""
    if not compiled:
        monkeypatch.setattr(calls, "layout_is_known", lambda: False)
    program, X = GRU.program(), GRU.samples(50)
    expected = Runner(program).run(X)
    forms: dict[str, Callable[[np.ndarray], object]] = {
        "float32": lambda x: x,
        "float64": lambda x: x.astype(np.float64),
        "strided": lambda x: np.repeat(x, 3)[::3],
        "reversed": lambda x: x[::-1].copy()[::-1],
        "unaligned": lambda x: np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32),
        "big-endian": lambda x: x.astype(">f4"),
        "row": lambda x: x[np.newaxis],
        "column": lambda x: x[:, np.newaxis],
        "list": lambda x: [float(number) for number in x],
        "tuple": lambda x: tuple(float(number) for number in x),
        "NumPy scalars": list,
        "subclass": lambda x: x.view(type("Samples", (np.ndarray,), {})),
        "dict": lambda x: {"x": x},
    }
    for name, form in forms.items():
        runner = Runner(program)
        found = np.array([runner.step(form(x)).copy() for x in X])
        assert found.tobytes() == expected.tobytes(), name


def test_integers_and_booleans_are_numbers() -> None:
    runner, other = Runner(GRU.program()), Runner(GRU.program())
    for sample in ([1, -2, 3, 0, 0, 1], np.array([1, 0, 1, 0, 0, 1], bool), np.arange(6, dtype=np.uint16)):
        assert (runner.step(sample) == other.step(np.asarray(sample, np.float32))).all()


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "abcdef",
        b"abcdef",
        3.0,
        [],
        [1.0] * 5,
        [1.0] * 7,
        (1.0,) * 5,
        np.zeros(5, np.float32),
        np.zeros((2, 3), np.float32),
        np.zeros((6, 2), np.float64)[:, 0].astype(complex),
        [1.0] * 5 + ["x"],
        [1.0] * 5 + [None],
        [[1.0], [2.0, 3.0]],
        {"y": [1.0] * 6},
        {},
        object(),
    ],
)
def test_what_is_no_sample_is_refused_and_touches_no_state(wrong: object) -> None:
    runner = Runner(GRU.program())
    runner.run(GRU.samples(3))
    before = runner.snapshot()
    with pytest.raises(InputError):
        runner.step(wrong)
    assert runner.snapshot() == before


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
@pytest.mark.parametrize("form", [np.asarray, np.float32, list, tuple])
def test_a_sample_that_is_not_finite_touches_no_state(bad: float, form: Callable[[object], object]) -> None:
    runner = Runner(GRU.program())
    runner.run(GRU.samples(3))
    before = runner.snapshot()
    with np.errstate(over="ignore"):
        sample = form([0.0, 1.0, bad, 0.0, 0.0, 0.0])
    with pytest.raises(NonFiniteInputError, match="input x"):
        runner.step(sample)
    assert runner.snapshot() == before
    assert np.isfinite(np.asarray(runner.state["h0"])).all()


def test_run_names_the_row_that_is_not_finite_and_does_no_row() -> None:
    runner, X = Runner(GRU.program()), GRU.samples(50)
    before = runner.snapshot()
    X[31, 2] = np.nan
    with pytest.raises(NonFiniteInputError, match="row 31"):
        runner.run(X)
    assert runner.snapshot() == before


@pytest.mark.parametrize("shape", [(), (6,), (5, 5), (2, 3, 2), (4, 7)])
def test_run_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="time steps"):
        Runner(GRU.program()).run(np.zeros(shape))


def test_run_takes_arrays_of_any_layout() -> None:
    program, X = GRU.program(), GRU.samples(20)
    expected = Runner(program).run(X)
    unaligned = np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(np.float32).reshape(X.shape)
    read_only = X.copy()
    read_only.setflags(write=False)
    assert not unaligned.flags.aligned
    for form in (X.astype(np.float64), X.astype(">f4"), np.asfortranarray(X), X[::-1][::-1], unaligned, read_only):
        assert Runner(program).run(form).tobytes() == expected.tobytes()
    assert Runner(program).run(X.tolist()).tobytes() == expected.tobytes()
    assert Runner(program).run(X[:, np.newaxis, :]).tobytes() == expected.tobytes()


def test_run_of_nothing() -> None:
    Y, indices = Runner(GRU.program()).run(np.zeros((0, 6)), index=True)
    assert Y.shape == (0, 4)
    assert indices.shape == (0,)


def test_several_inputs_and_outputs() -> None:
    runner, reference = Runner(two_ports()), ReferenceRunner(two_ports())
    rows = {"a": np.arange(8.0).reshape(4, 2), "b": 10 * np.ones((4, 2))}
    expected = reference.run(rows)
    for t in range(4):
        found = runner.step({name: column[t] for name, column in rows.items()})
        assert found["sum"].tolist() == expected["sum"][t].tolist()
        assert found["before"].tolist() == expected["before"][t].tolist()
    runner.reset()
    Y = runner.run(rows)
    assert Y["sum"].tolist() == expected["sum"].tolist()
    assert Y["before"].tolist() == expected["before"].tolist()
    assert Y["before"][0].tolist() == [100, 200]


def test_several_inputs_need_a_dict_with_all_names_and_equal_lengths() -> None:
    runner = Runner(two_ports())
    for wrong in ([1.0, 2.0], {"a": [1.0, 2.0]}, {"a": [1.0, 2.0], "b": [1.0, 2.0], "c": [1.0]}):
        with pytest.raises(InputError, match="a, b"):
            runner.step(wrong)
    with pytest.raises(InputError, match="number of time steps: a 3, b 4"):
        runner.run({"a": np.zeros((3, 2)), "b": np.zeros((4, 2))})


def test_a_model_without_state_and_with_a_scalar_input() -> None:
    description = ProgramDescription(
        inputs=(InputDescription("x", (1,)),),
        outputs=(OutputDescription("y", "y", per_frame=True),),
        operations=(
            Dense(name="dense", inputs=("x",), outputs=("a",), W="W"),
            Unary(name="relu", inputs=("a",), outputs=("y",), function="Relu"),
        ),
    )
    runner = Runner(Program(description, {"W": np.array([[2], [-2]], np.float32)}))
    assert runner.step(3.0).tolist() == [6, 0]
    assert runner.step(np.float64(-3)).tolist() == [0, 6]
    assert runner.run([1.0, 2.0]).tolist() == [[2, 0], [4, 0]]
    assert runner.state_is_finite()
    assert dict(runner.state) == {}


def test_state_views_read_and_write_and_stay_valid() -> None:
    program, X = LSTM.program(), LSTM.samples(40)
    runner, reference = Runner(program), ReferenceRunner(program)
    views = dict(runner.state)
    random = np.random.default_rng(3)
    for name, view in views.items():
        content = random.uniform(-1, 1, view.shape)
        view[...] = content
        reference.state[name][...] = content.astype(np.float32)
        assert view.shape == (2, 16)
        assert view.size == 32
    assert np.abs(runner.run(X) - reference.run(X)).max() < 1e-6
    runner.reset()
    runner.run(X[:1])
    for name, view in views.items():
        assert view is runner.state[name]
        assert np.asarray(view).any()
        view[1, 3:5] = 7
        assert view[1, 2:6].tolist() == [np.asarray(view)[1, 2], 7, 7, np.asarray(view)[1, 5]]


def test_state_views_saturate_and_refuse_nan_and_text() -> None:
    view = Runner(GRU.program()).state["h0"]
    view[:3] = [1e300, -np.inf, 2]
    largest = np.finfo(np.float32).max
    assert view[:3].tolist() == [largest, -largest, 2]
    with pytest.raises(NonFiniteInputError, match="h0"):
        view[0] = np.nan
    with pytest.raises(InputError, match="h0"):
        view[...] = "zero"
    with pytest.raises(ValueError, match="copy"):
        np.array(view, copy=False)


def test_what_is_read_from_a_state_is_a_copy() -> None:
    runner = Runner(GRU.program())
    content = np.asarray(runner.state["h0"])
    content[...] = 9
    assert not runner.state["h0"][...].any()


@settings(max_examples=20)
@given(at=st.integers(0, 60), model=st.sampled_from([GRU, LSTM]))
def test_snapshot_and_restore_at_any_step_change_nothing(at: int, model: Recurrent) -> None:
    program, X = model.program(), model.samples(60)
    expected = Runner(program).run(X)
    first, second = Runner(program), Runner(program)
    head = first.run(X[:at])
    second.run(X[::-1])
    second.restore(first.snapshot())
    assert np.concatenate([head, second.run(X[at:])]).tobytes() == expected.tobytes()


def test_snapshots_of_others_and_damaged_ones_are_refused() -> None:
    runner = Runner(GRU.program())
    blob = runner.snapshot()
    other = Runner(Recurrent("GRU", hidden_size=13, seed=1).program())
    with pytest.raises(ProgramFileError, match="another program"):
        other.restore(blob)
    with pytest.raises(ProgramFileError, match="format 2"):
        runner.restore(blob[:16] + b"\2" + blob[17:])
    for wrong in (b"", b"x" * 500, blob[:-1], blob[:50], blob + b"\0"):
        with pytest.raises(ProgramFileError):
            runner.restore(wrong)
    random = np.random.default_rng(0)
    for place in random.integers(0, len(blob), 300):
        damaged = bytearray(blob)
        damaged[place] ^= 1 << random.integers(8)
        with pytest.raises(ProgramFileError):
            runner.restore(bytes(damaged))
    assert runner.snapshot() == blob


def test_flush_ends_the_stream_until_reset() -> None:
    runner, X = Runner(GRU.program()), GRU.samples(5)
    first = runner.run(X)
    assert runner.flush().shape == (0, 4)
    for forbidden in (lambda: runner.step(X[0]), lambda: runner.run(X), runner.flush):
        with pytest.raises(RunnerStateError, match="reset"):
            forbidden()
    runner.reset()
    assert runner.run(X).tobytes() == first.tobytes()


def test_flush_with_several_outputs() -> None:
    assert {name: frames.shape for name, frames in Runner(two_ports()).flush().items()} == {
        "sum": (0, 2),
        "before": (0, 2),
    }


def test_run_into_equals_run() -> None:
    program, X = GRU.program(), GRU.samples(30)
    Y, indices = np.zeros((40, 4), np.float32), np.zeros(40, np.int64)
    assert Runner(program).run_into(X, Y, indices) == 30
    assert Y[:30].tobytes() == Runner(program).run(X).tobytes()
    assert indices[:30].tolist() == list(range(30))
    assert not Y[30:].any()


def test_run_into_refuses_what_does_not_fit() -> None:
    runner, X, Y = Runner(GRU.program()), GRU.samples(30), np.zeros((30, 4), np.float32)
    read_only = Y.copy()
    read_only.setflags(write=False)
    for wrong in (
        (X, Y[:29]),
        (X, Y[:, :3]),
        (X, Y.astype(np.float64)),
        (X.astype(np.float64), Y),
        (X[:, ::-1], Y),
        (X, read_only),
        (X, Y, np.zeros(29, np.int64)),
        (X, Y, np.zeros(30, np.int32)),
    ):
        with pytest.raises(InputError):
            runner.run_into(*wrong)
    with pytest.raises(InputError, match="one input"):
        Runner(two_ports()).run_into(X, Y)
    X[3, 3] = np.inf
    with pytest.raises(NonFiniteInputError, match="row 3"):
        runner.run_into(X, Y)


def test_runners_of_a_program_share_weights_but_no_state() -> None:
    program, X = GRU.program(), GRU.samples(30)
    first, second = Runner(program), Runner(program)
    alone = first.run(X)
    second.run(X[::-1])
    first.reset()
    interleaved = []
    for x in X:
        interleaved.append(first.step(x).copy())
        second.step(x * 2)
    assert np.array(interleaved).tobytes() == alone.tobytes()


def test_runners_in_threads() -> None:
    """`run` lets other threads go on: a thread that steps must not disturb, or be disturbed by, one that runs."""
    program = GRU.program()
    X = GRU.samples(20_000)
    expected = Runner(program).run(X)
    found: dict[int, np.ndarray] = {}

    def work(number: int) -> None:
        runner = Runner(program)
        if number % 2:
            found[number] = runner.run(X)
        else:
            found[number] = np.array([runner.step(x).copy() for x in X])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[number].tobytes() == expected.tobytes() for number in range(4))


def test_warm_and_repr_and_documentation() -> None:
    program = GRU.program()
    warm(program)
    runner = Runner(program)
    runner.step([0.0] * 6)
    assert "after 1 steps" in repr(runner)
    assert "h0" in repr(runner.state["h0"])
    assert runner.program is program
    assert "One time step" in (inspect.getdoc(Runner.step) or "")
    assert isinstance(program.inputs[0], Port)
