"""Activation functions of the compiled kernels against float64."""

import numpy as np
import pytest

from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription
from edgernn.program.operations import DOMAINS, UNARY_FUNCTIONS, Binary, Unary
from edgernn.program.program import Program
from edgernn.reference.float32 import UNARY
from edgernn.runtime.runner import Runner

# numbers of every size, both signs, and all around zero
SWEEP = np.concatenate([np.linspace(-12, 12, 20_001), np.geomspace(1e-30, 80, 2_000), -np.geomspace(1e-30, 80, 2_000)])


def apply(function: str, x: np.ndarray, **constants: float) -> np.ndarray:
    description = ProgramDescription(
        inputs=(InputDescription("x", x.shape),),
        outputs=(OutputDescription("y", "y", per_frame=True),),
        operations=(Unary(name="f", inputs=("x",), outputs=("y",), function=function, **constants),),
    )
    return Runner(Program(description, {})).step(x)


@pytest.mark.parametrize("function", UNARY_FUNCTIONS)
def test_every_function_is_close_to_float64(function: str) -> None:
    low, high = (0.0, np.inf) if function == "Reciprocal" else DOMAINS.get(function, (-np.inf, np.inf))
    x = SWEEP[(low < SWEEP) & (high > SWEEP)].astype(np.float32)
    alpha, beta, compute = UNARY[function]
    expected = compute(x.astype(np.float64), alpha, beta)
    size = np.maximum(1, np.maximum(np.abs(x), np.abs(expected)))
    assert (np.abs(apply(function, x) - expected) <= 4e-7 * size).all()


@pytest.mark.parametrize(("function", "bound"), [("Tanh", 3.5e-7), ("Erf", 4e-7), ("Sigmoid", 2e-7)])
def test_largest_error_of_the_gates(function: str, bound: float) -> None:
    x = np.linspace(-20, 20, 400_001, dtype=np.float32)
    _, _, compute = UNARY[function]
    assert np.abs(apply(function, x) - compute(x.astype(np.float64), 0, 0)).max() < bound


@pytest.mark.parametrize(
    ("function", "x"), [("Exp", np.linspace(-87, 88, 100_001)), ("Log", np.geomspace(1e-37, 1e38))]
)
def test_relative_error_of_exp_and_log(function: str, x: np.ndarray) -> None:
    x = x.astype(np.float32)
    expected = UNARY[function][2](x.astype(np.float64), 0, 0)
    assert np.abs(apply(function, x) / expected - 1).max() < 2.5e-7


def test_tanh_of_tiny_numbers_keeps_their_digits() -> None:
    x = np.geomspace(1e-30, 1e-3, 1000, dtype=np.float32)
    assert np.abs(apply("Tanh", x) / np.tanh(x.astype(np.float64)) - 1).max() < 3e-7


def test_exp_and_log_at_their_ends() -> None:
    assert apply("Exp", np.array([-200.0, 200.0, 0.0])).tolist() == [0.0, np.inf, 1.0]
    assert apply("Log", np.array([0.0, 1.0])).tolist() == [-np.inf, 0.0]
    assert np.isnan(apply("Log", np.array([-1.0, -1e-30]))).all()


def test_constants() -> None:
    x = np.array([-2.0, -0.5, 0.5, 2.0])
    assert apply("LeakyRelu", x, alpha=0.25).tolist() == [-0.5, -0.125, 0.5, 2.0]
    assert apply("Clip", x, alpha=-1.0, beta=1.0).tolist() == [-1.0, -0.5, 0.5, 1.0]
    assert apply("Clip", x, beta=1.0).tolist() == [-2.0, -0.5, 0.5, 1.0]
    assert apply("ThresholdedRelu", x, alpha=1.0).tolist() == [0.0, 0.0, 0.0, 2.0]


@pytest.mark.parametrize("function", sorted(set(UNARY_FUNCTIONS) - {"Not"}))  # a NaN is not 0
def test_nan_stays_nan(function: str) -> None:
    """A NaN inside the program (here 0 / 0) must not become a plausible number."""
    description = ProgramDescription(
        inputs=(InputDescription("x", (9,)),),
        outputs=(OutputDescription("y", "y", per_frame=True),),
        operations=(
            Binary(name="divide", inputs=("x", "x"), outputs=("nan",), function="Div"),
            Unary(name="f", inputs=("nan",), outputs=("y",), function=function),
        ),
    )
    assert np.isnan(Runner(Program(description, {})).step(np.zeros(9))).all()
