"""The recurrent cells in compiled code: against onnxruntime on whole sequences, and against the float64 reference."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recurrent import Recurrent

from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription, StateSlot
from edgernn.program.operations import GateFunction, Gru, Lstm, Rnn, StateRegion
from edgernn.program.program import Program
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.runner import Runner

MODELS = st.builds(
    Recurrent,
    kind=st.sampled_from(["GRU", "LSTM", "RNN"]),
    hidden_size=st.integers(1, 70),
    input_size=st.integers(1, 20),
    layers=st.integers(1, 3),
    classes=st.integers(1, 9),
    linear_before_reset=st.booleans(),
    relu=st.booleans(),
    packed_state=st.booleans(),
    seed=st.integers(0, 1000),
)


@settings(max_examples=40)
@given(MODELS)
def test_any_model_equals_onnxruntime_over_1000_steps(model: Recurrent) -> None:
    X = model.samples(1000)
    expected = model.onnxruntime_scores(X)
    assert np.abs(Runner(model.program()).run(X) - expected).max() < 1e-5


@pytest.mark.parametrize("kind", ["GRU", "LSTM", "RNN"])
def test_large_layers_equal_onnxruntime(kind: str) -> None:
    model = Recurrent(kind, hidden_size=333, input_size=65, classes=130)
    X = model.samples(50)
    assert np.abs(Runner(model.program()).run(X) - model.onnxruntime_scores(X)).max() < 1e-5


CELLS: dict[str, tuple[type, int, int, dict[str, Any]]] = {
    # class, gates, state slots, attributes
    "rnn sigmoid": (Rnn, 1, 1, {"activations": (GateFunction("Sigmoid"),)}),
    "rnn scaled tanh": (Rnn, 1, 1, {"activations": (GateFunction("ScaledTanh", 0.7, 1.3),)}),
    "rnn clip": (Rnn, 1, 1, {"activations": (GateFunction("Affine", 0.5, 0.1),), "clip": 0.2}),
    "gru hard": (
        Gru,
        3,
        1,
        {"activations": (GateFunction("HardSigmoid", 0.3), GateFunction("Softsign")), "linear_before_reset": True},
    ),
    "gru before, clip": (Gru, 3, 1, {"linear_before_reset": False, "clip": 0.3}),
    "gru before, leaky": (
        Gru,
        3,
        1,
        {"activations": (GateFunction("Sigmoid"), GateFunction("LeakyRelu", 0.2)), "linear_before_reset": False},
    ),
    "lstm peepholes": (Lstm, 4, 2, {"P": "P"}),
    "lstm coupled": (Lstm, 4, 2, {"input_forget": True}),
    "lstm all": (
        Lstm,
        4,
        2,
        {
            "P": "P",
            "clip": 0.25,
            "activations": (GateFunction("HardSigmoid"), GateFunction("Relu"), GateFunction("Elu", 0.8)),
        },
    ),
}


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("bias", [True, False])
def test_every_attribute_of_the_cells(name: str, bias: bool) -> None:
    operation, gates, slots, attributes = CELLS[name]
    hidden_size, input_size, random = 21, 3, np.random.default_rng(5)
    weights = {
        "W": random.uniform(-0.5, 0.5, (gates * hidden_size, input_size)),
        "R": random.uniform(-0.2, 0.2, (gates * hidden_size, hidden_size)),
        "B": random.uniform(-0.5, 0.5, 2 * gates * hidden_size),
        "P": random.uniform(-0.5, 0.5, 3 * hidden_size),
    }
    states = {letter: StateRegion(letter) for letter in "hc"[:slots]}
    cell = operation(
        name="cell", inputs=("x",), outputs=("y",), W="W", R="R", B="B" if bias else None, **states, **attributes
    )
    description = ProgramDescription(
        inputs=(InputDescription("x", (input_size,)),),
        outputs=(OutputDescription("y", "y", per_frame=True),),
        state=tuple(StateSlot(letter, (hidden_size,)) for letter in states),
        operations=(cell,),
    )
    program = Program(description, {name: array.astype(np.float32) for name, array in weights.items()})
    runner, reference = Runner(program), ReferenceRunner(program)
    X = random.standard_normal((100, input_size))
    assert np.abs(runner.run(X) - reference.run(X.astype(np.float32))).max() < 2e-6
    for letter in states:
        assert np.abs(np.asarray(runner.state[letter]) - reference.state[letter]).max() < 2e-6


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_a_decaying_state_ends_at_exactly_zero(kind: str) -> None:
    """Denormal numbers would make each step many times as slow; below 2**-100 states are zero."""
    hidden_size, gates = 5, 3 if kind == "GRU" else 4
    bias = np.zeros((2, gates, hidden_size), np.float32)  # gates are sigmoid(0), candidates tanh(0): all is halved
    weights = {
        "W": np.zeros((gates * hidden_size, 1), np.float32),
        "R": np.zeros((gates * hidden_size, hidden_size), np.float32),
        "B": bias.ravel(),
    }
    common = {"name": "cell", "inputs": ("x",), "outputs": ("y",), "W": "W", "R": "R", "B": "B", "h": StateRegion("h")}
    names = ["h"] if kind == "GRU" else ["h", "c"]
    cell = Gru(linear_before_reset=True, **common) if kind == "GRU" else Lstm(c=StateRegion("c"), **common)
    description = ProgramDescription(
        inputs=(InputDescription("x", (1,)),),
        outputs=(OutputDescription("y", "y", per_frame=True),),
        state=tuple(StateSlot(name, (hidden_size,)) for name in names),
        operations=(cell,),
    )
    runner = Runner(Program(description, weights))
    for name in names:
        runner.state[name][...] = 1.0
    seen = []
    for _ in range(160):
        runner.step([0.0])
        seen.append(np.concatenate([np.asarray(runner.state[name]) for name in names]))
    magnitudes = np.abs(np.array(seen))
    assert (magnitudes[-1] == 0).all()
    assert magnitudes[magnitudes > 0].min() >= 2.0**-100
    assert (magnitudes[80] > 0).all()


def test_a_diverged_state_is_found() -> None:
    """A ReLU cell with a gain above one diverges: the runner says so, and recovers by a reset."""
    weights = {"W": np.ones((2, 1), np.float32), "R": 10 * np.eye(2, dtype=np.float32)}
    cell = Rnn(
        name="cell",
        inputs=("x",),
        outputs=("y",),
        W="W",
        R="R",
        h=StateRegion("h"),
        activations=(GateFunction("Relu"),),
    )
    description = ProgramDescription(
        inputs=(InputDescription("x", (1,)),),
        outputs=(OutputDescription("y", "y", per_frame=True),),
        state=(StateSlot("h", (2,)),),
        operations=(cell,),
    )
    runner = Runner(Program(description, weights))
    runner.run(np.ones((30, 1)))
    assert runner.state_is_finite()
    runner.run(np.ones((30, 1)))
    assert not runner.state_is_finite()
    runner.reset()
    assert runner.state_is_finite()
