"""Every form of the integer kernels, bit for bit against the NumPy reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from int8_programs import CELLS, int8_program, step_many

from edgernn.kernels.codegen.target import Processor
from edgernn.kernels.int8.products.forms import FORMS, forms_of
from edgernn.program.program import Program
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.lowering.int8 import products
from edgernn.runtime.runner import Runner

# all of them run everywhere: those that the processor lacks the instruction for, in plain code
ALL_FORMS = [(name, bits) for name, form in FORMS.items() for bits in form.operand_bits]
# a form is compiled into every kernel, but only its products differ: two of them meet all kinds of cells
TWO_FORMS = [("pairs", 16), ("plain", 8)]
NARROW_SIZES, WIDE_SIZES = (1, 3, 8, 19), (16, 30)  # hidden sizes with panels of one and two registers, where gates > 1
FULL_SCALE = 32768


def integers_of(runner: Runner) -> dict[str, np.ndarray]:
    """The states as they lie in memory."""
    memory = runner._memory
    return {place.name: place.view(memory.state)[0].copy() for place in memory.plan.slots}


def set_states(program: Program, runner: Runner, reference: ReferenceRunner, states: dict[str, np.ndarray]) -> None:
    scales = {slot.name: slot.scale for slot in program.state}
    for name, integers in states.items():
        runner.state[name][...] = integers * np.float64(scales[name])
        reference.state[name][...] = integers


def extreme_states(program: Program, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Integers anywhere in the range of each state, many at its ends."""
    states = {}
    for slot in program.state:
        limits = np.iinfo(slot.dtype)
        states[slot.name] = random.integers(limits.min, limits.max, slot.shape, endpoint=True)
        for end in (limits.min, limits.max):
            states[slot.name][random.random(slot.shape) < 0.2] = end
    return states


def extreme_samples(random: np.random.Generator, steps: int, K: int) -> np.ndarray:
    """Counts anywhere in int16, many at its ends and beyond, (steps, K) float32."""
    X = random.integers(-FULL_SCALE, FULL_SCALE, (steps, K)).astype(np.float32)
    X[random.random(X.shape) < 0.3] = -FULL_SCALE
    X[random.random(X.shape) < 0.3] = 1e9
    return X


def assert_equal_steps(program: Program, seed: int, steps: int = 4) -> None:
    """Same outputs and same states, step after step, from zero and from extreme states."""
    random = np.random.default_rng(seed)
    runner, reference = Runner(program), ReferenceRunner(program)
    for t, x in enumerate(extreme_samples(random, steps, program.inputs[0].size)):
        if t % 2 == 1:
            set_states(program, runner, reference, extreme_states(program, random))
        found, expected = runner.step(x), reference.step(x)
        for name, array in expected.items():
            assert found[name].tobytes() == array.astype(np.float32).tobytes(), name
        for name, array in integers_of(runner).items():
            np.testing.assert_array_equal(array, reference.state[name], name)


@pytest.fixture
def bits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Bits of operands, with the form of matrix products set; tests are parametrized with (form, bits)."""
    form, operand_bits = request.param
    monkeypatch.setattr(products, "product_form", lambda operand_bits: form)
    return operand_bits


def forms(chosen: list[tuple[str, int]]) -> pytest.MarkDecorator:
    """Runs a test that takes `bits` in each of the forms."""
    return pytest.mark.parametrize("bits", chosen, indirect=True, ids=[f"{form}-{bits}" for form, bits in chosen])


@forms(TWO_FORMS)
@pytest.mark.parametrize("kind", CELLS)
def test_cells(bits: int, kind: str) -> None:
    check_cell(kind, bits)


@forms([form for form in ALL_FORMS if form not in TWO_FORMS])
@pytest.mark.parametrize("kind", ["rnn", "gru reset first wide"])
def test_cells_in_the_other_forms(bits: int, kind: str) -> None:
    check_cell(kind, bits)


def check_cell(kind: str, bits: int) -> None:
    """Random sizes, weights and seeds."""

    @settings(max_examples=6)
    @given(
        K=st.integers(1, 9),
        H=st.sampled_from(NARROW_SIZES),
        fill=st.sampled_from(["random", "lowest", "highest"]),
        seed=st.integers(0, 10_000),
    )
    def check(K: int, H: int, fill: str, seed: int) -> None:
        assert_equal_steps(int8_program(kind, K, H, bits, fill, seed), seed)

    check()


@forms(TWO_FORMS)
@pytest.mark.parametrize("kind", ["gru", "lstm wide"])
def test_panels_of_two_registers(bits: int, kind: str) -> None:
    for seed, H in enumerate(WIDE_SIZES):
        assert_equal_steps(int8_program(kind, 6, H, bits, seed=seed), seed)


@forms(ALL_FORMS)
def test_large_matrices_at_the_edge_of_32_bits(bits: int) -> None:
    """All weights -128 or 127, all operands at the end of their range: the largest sums there can be."""
    for fill in ("lowest", "highest"):
        program = int8_program("gru", 300, 260, bits, fill)
        runner, reference = Runner(program), ReferenceRunner(program)
        for h, x in ((-FULL_SCALE, -1e9), (-FULL_SCALE, 1e9), (FULL_SCALE - 1, -1e9), (FULL_SCALE - 1, 1e9)):
            set_states(program, runner, reference, {"h": np.full(260, h)})
            sample = np.full(300, x, np.float32)
            assert runner.step(sample)["h"].tobytes() == reference.step(sample)["h"].astype(np.float32).tobytes()


@forms(TWO_FORMS)
@pytest.mark.parametrize("kind", CELLS)
def test_every_one_of_100000_steps(bits: int, kind: str) -> None:
    """Outputs and states of the whole stream, as 400 stretches that NumPy steps side by side.

    Each stretch begins from the state in which the compiled stretch before it ended; as all of them end where the next
    one begins, they are one stream.
    """
    program = int8_program(kind, 3, 8, bits, seed=6)
    X = np.cumsum(np.random.default_rng(2).normal(0, 3000, (100_000, 3)), axis=0).astype(np.float32)
    X = (X + FULL_SCALE) % (2.2 * FULL_SCALE) - 1.1 * FULL_SCALE  # wanders through the whole range and a little beyond
    stretches = X.reshape(400, 250, 3)
    runner = Runner(program)
    states, found = [integers_of(runner)], []
    for stretch in stretches:
        found.append(runner.run(stretch))
        states.append(integers_of(runner))
    begin, end = (
        {name: np.array([state[name] for state in part]) for name in states[0]} for part in (states[:-1], states[1:])
    )
    state = {name: array.astype(np.int64) for name, array in begin.items()}  # (400, units)
    for t in range(250):
        expected = step_many(program, stretches[:, t], state)
        for name, array in expected.items():
            np.testing.assert_array_equal(np.array([outputs[name][t] for outputs in found]), array)
    for name, array in end.items():
        np.testing.assert_array_equal(array, state[name])


@pytest.mark.parametrize("kind", CELLS)
def test_many_streams_are_what_the_reference_steps_one_by_one(kind: str) -> None:
    program = int8_program(kind, 3, 5, 8, seed=1)
    random = np.random.default_rng(4)
    states = [extreme_states(program, random) for _ in range(3)]
    X = np.array([extreme_samples(random, 20, 3) for _ in states])  # (3, 20, 3)
    state = {name: np.array([one[name] for one in states]) for name in states[0]}
    many = [step_many(program, X[:, t], state) for t in range(20)]
    for stream, one in enumerate(states):
        reference = ReferenceRunner(program)
        for name, array in one.items():
            reference.state[name][...] = array
        for t in range(20):
            for name, array in reference.step(X[stream, t]).items():
                np.testing.assert_array_equal(many[t][name][stream], array.astype(np.float32))


@pytest.mark.parametrize(
    ("features", "bits", "expected"),
    [
        ("+avx2", 16, ("pairs", "plain")),
        ("+avx2", 8, ("pairs", "plain")),
        ("+avx512f,+avx512vl,+avx512vnni", 8, ("vnni", "pairs", "plain")),
        ("+avx512f,+avx512vl,+avx512vnni", 16, ("halves", "pairs", "plain")),
        ("+avx2,+avxvnni", 8, ("vnni", "pairs", "plain")),
        ("+avx512f,-avx512vl,+avx512vnni", 8, ("pairs", "plain")),
    ],
)
def test_forms_follow_the_features_of_x86(features: str, bits: int, expected: tuple[str, ...]) -> None:
    assert forms_of(Processor("x86_64-unknown-linux-gnu", "any", features), bits) == expected


@pytest.mark.parametrize(("features", "expected"), [("+neon", ("plain",)), ("+neon,+dotprod", ("dot", "plain"))])
def test_forms_follow_the_features_of_arm(features: str, expected: tuple[str, ...]) -> None:
    assert forms_of(Processor("aarch64-unknown-linux-gnu", "any", features), 8) == expected
    assert forms_of(Processor("aarch64-unknown-linux-gnu", "any", features), 16) == ("plain",)
