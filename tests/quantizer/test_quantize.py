"""Int8 programs against the float programs they were made of."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_programs import CELLS, cell_parts, cell_program, feedforward_program, make, recording, uniform

import edgernn
from edgernn.errors import InputError, QuantizationError
from edgernn.program.description import StateSlot
from edgernn.program.file import load_program, save
from edgernn.program.metadata import Metadata
from edgernn.program.operations import (
    Binary,
    Dense,
    GateFunction,
    Gru,
    Int8Dense,
    Int8Gru,
    Int8Lstm,
    Int8RecurrentOperation,
    Lstm,
    ReadState,
    Rearrange,
    Reduce,
    StateRegion,
    Unary,
    WriteState,
)
from edgernn.program.program import Program
from edgernn.quantizer import quantize
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.runner import Runner


def both(program: Program, int8: Program, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return ReferenceRunner(program).run(X), ReferenceRunner(int8).run(X)


@pytest.mark.parametrize(("operands", "largest"), [("w8a16", 0.02), ("w8a8", 0.06)])
@pytest.mark.parametrize("kind", CELLS)
def test_every_cell_follows_its_float_form(kind: str, operands: str, largest: float) -> None:
    program, X = cell_program(kind), recording(3)
    expected, actual = both(program, quantize(program, X, operands=operands), X)
    assert np.abs(expected - actual).max() < largest
    assert (expected.argmax(axis=1) == actual.argmax(axis=1)).mean() > 0.97


@settings(max_examples=12)
@given(st.sampled_from(CELLS), st.integers(1, 5), st.integers(1, 20), st.integers(0, 1000))
def test_cells_of_any_size_follow_their_float_form(kind: str, K: int, H: int, seed: int) -> None:
    program, X = cell_program(kind, K, H, classes=3, seed=seed), recording(K, 150, seed)
    expected, actual = both(program, quantize(program, X), X)
    assert np.abs(expected - actual).max() < 0.05


@pytest.mark.parametrize("ranges", ["max", "percentile", "mse", "entropy"])
def test_feedforward_follows_its_float_form(ranges: str) -> None:
    program = feedforward_program()
    X = recording(3) * np.float32([3, 2, 0.1]) + np.float32([10, -5, 0.5])
    expected, actual = both(program, quantize(program, X, ranges=ranges), X)
    noise = np.sqrt(np.mean((expected - actual) ** 2) / np.mean(expected**2))
    assert noise < 0.02


def test_two_layers_in_one_state_follow_their_float_form() -> None:
    rng = np.random.default_rng(5)
    first, weights, _ = cell_parts("gru", "one", "x", 3, 6, rng)
    second, more, _ = cell_parts("gru", "two", "one.y", 6, 6, rng)
    first = msgspec.structs.replace(first, h=StateRegion("h"))
    second = msgspec.structs.replace(second, h=StateRegion("h", 6))
    program = make((first, second), weights | more, "two.y", 3, [StateSlot("h", (2, 1, 6))])
    X = recording(3)
    expected, actual = both(program, quantize(program, X), X)
    assert np.abs(expected - actual).max() < 0.02


def test_explicit_states_and_a_cell_as_output_are_quantized() -> None:
    operation, weights, slots = cell_parts("lstm", "cell", "x", 3, 6, np.random.default_rng(6))
    assert isinstance(operation, Lstm)
    operations = (
        operation,
        ReadState(name="read", inputs=(), outputs=("c",), region=operation.c, shape=(6,)),
        ReadState(name="old", inputs=(), outputs=("last",), region=StateRegion("memory"), shape=(6,)),
        Rearrange(name="join", inputs=("c", "last"), outputs=("joined",), shape=(12,)),
        WriteState(name="keep", inputs=("cell.y",), outputs=(), region=StateRegion("memory"), size=6),
    )
    program = make(operations, weights, "joined", 3, [*slots, StateSlot("memory", (6,))])
    X = recording(3)
    for states in ("s16", "s32"):
        expected, actual = both(program, quantize(program, X, states=states), X)
        assert np.abs(expected - actual).max() < 0.02


def test_initial_states_are_quantized() -> None:
    operation, weights, slots = cell_parts("gru", "cell", "x", 3, 4, np.random.default_rng(7))
    weights["h0"] = np.array([0.9, -0.5, 3.0, 0.0], np.float32)  # beyond 1: another scale and another table
    slots = [msgspec.structs.replace(slots[0], initial="h0")]
    program, X = make((operation,), weights, "cell.y", 3, slots), recording(3)
    int8 = quantize(program, X)
    assert int8.state[0].scale == 8 * 2.0**-15
    assert np.abs(ReferenceRunner(int8).state[slots[0].name] * int8.state[0].scale - weights["h0"]).max() < 2e-4
    expected, actual = both(program, int8, X)
    assert np.abs(expected - actual).max() < 0.02


def test_a_windowed_program_gives_what_a_fresh_state_gives_on_each_window() -> None:
    X = recording(3, 60)
    program = quantize(cell_program("gru"), X)
    windowed = program.with_window(20, 7)
    frames = ReferenceRunner(windowed).run(X)
    starts = range(0, 60 - 20 + 1, 7)
    assert len(frames) == len(starts)
    for frame, start in zip(frames, starts, strict=True):
        assert (frame == ReferenceRunner(program).run(X[start : start + 20])).all()


def test_program_file_keeps_every_integer(tmp_path: Path) -> None:
    X = recording(3)
    for kind in ("gru", "lstm_peephole", "gru_hard_sigmoid"):
        program = quantize(cell_program(kind), X, count_size=0.01)
        save(program, tmp_path / "int8.safetensors")
        again = load_program(tmp_path / "int8.safetensors")
        assert again.hash == program.hash
        assert again.arithmetic == "int8"
        assert (ReferenceRunner(again).run(X) == ReferenceRunner(program).run(X)).all()


def slow_program(kind: str) -> Program:
    """One unit whose gate lets go of 1/10000 of its state in a step."""
    slow = float(np.log(9999))
    if kind == "gru":
        weights = {"W": [[0], [0], [1]], "R": np.zeros((3, 1)), "B": [slow, 0, 0, 0, 0, 0]}
        slots = [StateSlot("h", (1,))]
        cell: Gru | Lstm = Gru(
            name="cell",
            inputs=("x",),
            outputs=("y",),
            W="W",
            R="R",
            B="B",
            h=StateRegion("h"),
            linear_before_reset=True,
        )
    else:
        weights = {"W": [[0], [0], [0], [1]], "R": np.zeros((4, 1)), "B": [-slow, 3, slow, 0, 0, 0, 0, 0]}
        slots = [StateSlot("h", (1,)), StateSlot("c", (1,))]
        cell = Lstm(
            name="cell",
            inputs=("x",),
            outputs=("y",),
            W="W",
            R="R",
            B="B",
            h=StateRegion("h"),
            c=StateRegion("c"),
        )
    arrays = {name: np.array(array, np.float32) for name, array in weights.items()}
    return make((cell,), arrays, "y", 1, slots)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_a_slow_unit_follows_float_for_100000_steps(kind: str) -> None:
    program = slow_program(kind)
    levels = np.random.default_rng(8).uniform(-1.5, 1.5, 20)
    X = np.repeat(levels, 5000).astype(np.float32)[:, None]  # (100000, 1)
    int8 = quantize(program, X[::50])
    assert int8.state[-1].dtype == "int32"
    n, held = np.tanh(X[:, 0].astype(np.float64)), np.empty(len(X))
    value = 0.0
    for t, target in enumerate(n):
        value += (target - value) * 1e-4
        held[t] = value
    expected = held if kind == "gru" else np.tanh(held) / (1 + np.exp(-3.0))
    difference = np.abs(Runner(int8).run(X)[:, 0] - expected).max()
    assert difference < 0.01 * np.ptp(expected)


def test_states_are_wide_only_where_a_gate_is_slow() -> None:
    X = recording(3)
    assert quantize(cell_program("gru"), X).state[0].dtype == "int16"
    assert quantize(cell_program("gru"), X, states="s32").state[0].dtype == "int32"
    assert quantize(slow_program("gru"), X[:, :1]).state[0].dtype == "int32"
    assert quantize(slow_program("gru"), X[:, :1], states="s16").state[0].dtype == "int16"


def test_step_raw_computes_from_counts_in_integers() -> None:
    rng = np.random.default_rng(9)
    program = cell_program("gru").with_metadata(Metadata(mean=(100.0, -3.0, 5e4), std=(50.0, 0.5, 2e3)))
    raw = recording(3) * [50, 0.5, 2e3] + [100, -3, 5e4]  # in raw sensor units
    size = np.array([1.0, 0.001, 0.5])
    int8 = quantize(program, raw, count_size=size.tolist())
    counts = np.rint(raw / size).astype(np.int64)
    runner = ReferenceRunner(int8)
    scores = np.array([runner.step_raw(frame) for frame in counts])
    assert scores.dtype == np.int64
    runner.reset()
    normal = (counts * size - [100, -3, 5e4]) / [50, 0.5, 2e3]
    assert np.abs(scores / 32768 - runner.run(normal)).max() < 2e-3
    runner.step_raw(rng.integers(-(2**31), 2**31, 3))  # any count is taken


def test_recordings_of_whole_numbers_are_counts() -> None:
    counts = np.rint(1000 * recording(3))
    program = cell_program("gru").with_metadata(Metadata(mean=(0.0,) * 3, std=(1000.0,) * 3))
    assert quantize(program, counts).takes_counts
    assert quantize(cell_program("gru"), np.float32([[0, 1, 0], [1, 0, 1]])).takes_counts


@pytest.mark.parametrize("choice", [{}, {"count_size": 0.01, "keep_float": ["cell"]}])
def test_step_raw_is_refused_without_a_way_in_integers(choice: dict) -> None:
    int8 = quantize(cell_program("gru"), recording(3), **choice)
    assert not int8.takes_counts
    with pytest.raises(InputError, match="count_size"):
        ReferenceRunner(int8).step_raw([1, 2, 3])


def test_a_count_size_that_does_not_fit_is_refused() -> None:
    with pytest.raises(QuantizationError, match="way from counts"):
        quantize(cell_program("gru"), recording(3), count_size=1e9)


def test_normalisation_in_the_graph_is_folded_into_the_input() -> None:
    X = recording(3) * np.float32([3, 2, 0.1]) + np.float32([10, -5, 0.5])
    program = quantize(feedforward_program(), X)
    assert [operation.name for operation in program.operations[:2]] == ["normal.quantize", "first"]
    assert not {"centre", "scale"} & {operation.name for operation in program.operations}


def test_channels_of_different_size_are_equalised_where_it_helps() -> None:
    rng = np.random.default_rng(10)
    W = uniform(rng, (4, 3), 1.0) * np.float32([0.01, 1.0, 100.0])
    X = recording(3) * np.float32([100.0, 1.0, 0.01])
    program = make((Dense(name="d", inputs=("x",), outputs=("y",), W="W"),), {"W": W}, "y", 3, [])
    errors = {}
    for equalize in (False, True):
        expected, actual = both(program, quantize(program, X, operands="w8a8", equalize=equalize), X)
        errors[equalize] = np.sqrt(np.mean((expected - actual) ** 2))
    assert errors[True] < 0.2 * errors[False]


def test_bias_correction_takes_the_mean_error_away() -> None:
    rng = np.random.default_rng(11)
    X = recording(3) + np.float32(2.0)
    program = make(
        (Dense(name="d", inputs=("x",), outputs=("y",), W="W"),), {"W": uniform(rng, (40, 3), 1.0)}, "y", 3, []
    )
    means = {}
    for correct in (False, True):
        expected, actual = both(program, quantize(program, X, correct_bias=correct), X)
        means[correct] = np.abs((expected - actual).mean(axis=0)).mean()
    assert means[True] < 0.2 * means[False]


def test_operands_can_be_chosen_by_layer() -> None:
    X = recording(3)
    int8 = quantize(cell_program("gru"), X, layer_operands={"cell": "w8a8"})
    bits = {type(op): op.operand_bits for op in int8.operations if isinstance(op, Int8Dense | Int8RecurrentOperation)}
    assert bits == {Int8Gru: 8, Int8Dense: 16}


@pytest.mark.parametrize("kept", [["cell"], ["head"], ["softmax"], ["cell", "softmax"]])
def test_an_operation_kept_in_float_stays_as_it_was(kept: list[str]) -> None:
    program, X = cell_program("gru"), recording(3)
    int8 = quantize(program, X, keep_float=kept)
    kinds = {operation.name: type(operation) for operation in int8.operations}
    for operation in program.operations:
        assert (kinds[operation.name] is type(operation)) == (operation.name in kept)
    expected, actual = both(program, int8, X)
    assert np.abs(expected - actual).max() < 0.02


def test_calibration_is_read_from_files(tmp_path: Path) -> None:
    program, X = cell_program("gru"), recording(3)
    np.save(tmp_path / "a.npy", X)
    np.savez(tmp_path / "b.npz", samples=X)
    np.savetxt(tmp_path / "c.csv", X, delimiter=",", fmt="%.17g")
    hashes = {quantize(program, tmp_path / name).hash for name in ("a.npy", "b.npz", "c.csv")}
    assert hashes == {quantize(program, X).hash}


@pytest.mark.parametrize(
    ("calibration", "complaint"),
    [
        (np.zeros((50, 3)), "zero throughout"),
        (np.full((50, 3), np.nan), "NaN or infinite at step 0"),
        (np.ones((50, 4)), "3 channels"),
        (np.ones((0, 3)), "no samples"),
        ([], "no samples"),
        ({"y": np.ones((5, 3))}, "the program's inputs are x"),
        ("missing.npy", "cannot be read"),
    ],
)
def test_a_bad_calibration_is_refused(calibration: object, complaint: str) -> None:
    with pytest.raises(QuantizationError, match=complaint):
        quantize(cell_program("gru"), calibration)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("choice", "complaint"),
    [
        ({"operands": "w4a4"}, "operands is 'w4a4'"),
        ({"ranges": "guess"}, "ranges is 'guess'"),
        ({"states": "s64"}, "states is 's64'"),
        ({"keep_float": ["nothing"]}, "no operation 'nothing'"),
        ({"layer_operands": {"head": "w1"}}, "layer_operands of head"),
    ],
)
def test_a_bad_choice_is_refused(choice: dict, complaint: str) -> None:
    with pytest.raises(QuantizationError, match=complaint):
        quantize(cell_program("gru"), recording(3), **choice)


def test_a_quantized_program_is_not_quantized_again() -> None:
    program = quantize(cell_program("gru"), recording(3))
    with pytest.raises(QuantizationError, match="already"):
        quantize(program, recording(3))


def test_operations_without_an_integer_form_are_refused_by_name() -> None:
    X = np.abs(recording(3)) + np.float32(0.1)
    dense = Dense(name="d", inputs=("x",), outputs=("a",), W="W")
    weights = {"W": np.ones((2, 3), np.float32)}
    power = Binary(name="pow", inputs=("a", "a"), outputs=("y",), function="Pow")
    remainder = Binary(name="mod", inputs=("a",), outputs=("y",), function="Mod", constant="c")
    product = Reduce(name="prod", inputs=("a",), outputs=("y",), function="Prod")
    weights["c"] = np.full(1, 0.7, np.float32)
    for operation in (power, remainder, product):
        program = make((dense, operation), weights, "y", 3, [])
        with pytest.raises(QuantizationError, match=f"operation {operation.name} .*keep_float"):
            quantize(program, X)
        expected, actual = both(program, quantize(program, X, keep_float=[operation.name]), X)
        assert np.median(np.abs(expected - actual)) < 0.02


def test_functions_that_no_table_follows_are_refused_with_what_they_would_lose() -> None:
    X = recording(3)
    dense = Dense(name="d", inputs=("x",), outputs=("a",), W="W")
    square = Binary(name="s", inputs=("a", "a"), outputs=("q",), function="Mul")
    weights = {"W": np.ones((2, 3), np.float32), "large": np.full(1, 300, np.float32)}
    reciprocal = Unary(name="f", inputs=("q",), outputs=("y",), function="Reciprocal")
    quotient = Binary(name="f", inputs=("a", "q"), outputs=("y",), function="Div")
    scaled = Binary(name="s", inputs=("a",), outputs=("q",), function="Mul", constant="large")
    sine = Unary(name="f", inputs=("q",), outputs=("y",), function="Sin")
    for operations in ((dense, square, reciprocal), (dense, square, quotient), (dense, scaled, sine)):
        with pytest.raises(QuantizationError, match=r"operation f .*off by \d+% .*keep_float"):
            quantize(make(operations, weights, "y", 3, []), X)


def test_gates_that_the_integers_cannot_follow_are_refused() -> None:
    for gate in (GateFunction("Softsign"), GateFunction("HardSigmoid", 0.05, 0.5)):
        operation, weights, slots = cell_parts("gru", "cell", "x", 3, 4, np.random.default_rng(13))
        operation = msgspec.structs.replace(operation, activations=(gate, GateFunction("Tanh")))
        with pytest.raises(QuantizationError, match=r"operation cell .*gate of"):
            quantize(make((operation,), weights, "cell.y", 3, slots), recording(3))


@pytest.mark.parametrize("function", ["Softsign", "LeakyRelu", "ScaledTanh", "Elu", "Affine"])
def test_other_activations_follow_their_float_form(function: str) -> None:
    operation, weights, slots = cell_parts("rnn", "cell", "x", 3, 4, np.random.default_rng(14))
    weights["cell.W"] *= 20  # inputs far beyond ±8
    weights["cell.R"] *= np.float32(0.3)
    operation = msgspec.structs.replace(operation, activations=(GateFunction(function),))
    program, X = make((operation,), weights, "cell.y", 3, slots), recording(3)
    expected, actual = both(program, quantize(program, X), X)
    assert np.sqrt(np.mean((expected - actual) ** 2)) < 0.01 * np.sqrt(np.mean(expected**2))


def test_a_row_that_could_overflow_is_widened_or_refused() -> None:
    X = recording(2)
    W = np.zeros((1, 600), np.float32)
    W[0] = 1.0  # 600 * 127 * 32768 does not fit 32 bits
    spread = Rearrange(name="r", inputs=("x",), outputs=("wide",), shape=(600,), indices="i")
    dense = Dense(name="d", inputs=("wide",), outputs=("y",), W="W")
    weights = {"W": W, "i": np.tile(np.int32([0, 1]), 300)}
    program = make((spread, dense), weights, "y", 2, [])
    int8 = quantize(program, X)
    assert 0 < np.abs(int8.weights["d/W"]).max() < 127
    expected, actual = both(program, int8, X)
    assert np.abs(expected - actual).max() < 0.02 * np.abs(expected).max()
    hopeless = cell_program("gru")
    huge = dict(hopeless.weights) | {"cell.W": np.full((24, 3), 3e7, np.float32)}
    with pytest.raises(QuantizationError, match=r"operation cell .*weight W"):
        quantize(Program(hopeless.description, huge), recording(3))


def test_lstm_cell_far_beyond_one_keeps_its_scale() -> None:
    operation, weights, slots = cell_parts("lstm", "cell", "x", 3, 4, np.random.default_rng(12))
    weights["cell.B"][8:12] = 6.0  # the forget gates stay open: c grows
    program, X = make((operation,), weights, "cell.y", 3, slots), np.abs(recording(3))
    int8 = quantize(program, X, states="s16")
    (cell,) = (op for op in int8.operations if isinstance(op, Int8Lstm))
    assert cell.cell_scale > 2.0**-15
    runner = ReferenceRunner(int8)
    runner.run(X)
    assert np.abs(runner.state["cell.c"]).max() < 32767
    expected, actual = both(program, int8, X)
    assert np.abs(expected - actual).max() < 0.05


def test_a_way_from_counts_that_nobody_asked_for_is_left_out_with_a_note() -> None:
    """Unix times are integers that no 16-bit way from counts reaches."""
    program = edgernn.load(Path(__file__).parents[1] / "models" / "memory" / "norm_unix.onnx")
    times = 1_760_000_000.0 + np.arange(400.0)[:, None]
    int8 = quantize(program, times)
    assert not int8.takes_counts
    assert any("no way from sensor counts" in warning for warning in int8.warnings)
    with pytest.raises(QuantizationError, match="way from counts"):
        quantize(program, times, count_size=1.0)
