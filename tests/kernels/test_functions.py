"""Activation functions of the compiled kernels against float64."""

import numpy as np
import onnx
import onnxruntime
import pytest

from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription
from edgernn.program.operations import DOMAINS, UNARY_FUNCTIONS, Binary, Unary
from edgernn.program.program import Program
from edgernn.quantizer import quantize
from edgernn.reference.float32 import UNARY
from edgernn.reference.runner import ReferenceRunner
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


OUTSIDE = {"Asin": [-1.5, 1.0001], "Acos": [-3.0, 1.5], "Acosh": [0.999, -2.0], "Atanh": [1.5, -1.0001]}


@pytest.mark.parametrize("function", OUTSIDE)
def test_what_lies_outside_of_the_domain(function: str) -> None:
    """Not a number in float, as in onnxruntime and in C; integers saturate: ARITHMETIC.md, section 5.2."""
    x = np.array([*OUTSIDE[function], 0.0 if function == "Acosh" else 2.0], np.float32)
    node = onnx.helper.make_node(function, ["x"], ["y"])
    ports = [onnx.helper.make_tensor_value_info(name, 1, [3]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "g", ports[:1], ports[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    (expected,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    assert np.isnan(expected).all()
    assert np.isnan(apply(function, x)).all()
    low, high = DOMAINS[function]
    inside = np.linspace(max(low, -2), min(high, 4), 400, dtype=np.float32)[1:-1, np.newaxis].repeat(3, axis=1)
    integer = ReferenceRunner(quantize(of_three(function), inside))
    nearest = UNARY[function][2](np.clip(x, inside.min(), inside.max()).astype(np.float64), 0, 0)
    found = integer.step(x)
    assert isinstance(found, np.ndarray)
    if function == "Atanh":  # infinite at the ends of its domain: the ends of the output's range
        assert (np.sign(x) * found >= np.abs(nearest) - 0.01).all()
        assert np.isfinite(found).all()
    else:
        assert np.abs(found - nearest).max() < 0.25


def test_infinite_and_too_large() -> None:
    assert apply("Atanh", np.array([-1.0, 1.0])).tolist() == [-np.inf, np.inf]
    largest = float(np.finfo(np.float32).max)
    assert apply("Sinh", np.array([-100.0, 100.0])).tolist() == [-largest, largest]
    assert apply("Cosh", np.array([-100.0, 89.0])).tolist() == [largest, pytest.approx(np.cosh(89.0), rel=1e-6)]


@pytest.mark.parametrize("function", ["Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh"])
def test_integers_follow_the_function_within_its_domain(function: str) -> None:
    low, high = DOMAINS.get(function, (-3.0, 3.0))
    x = np.linspace(max(low, -3) + 0.02, min(high, 5) - 0.02, 600, dtype=np.float32)[:, np.newaxis].repeat(3, axis=1)
    program = quantize(of_three(function), x)
    expected = UNARY[function][2](x.astype(np.float64), 0, 0)
    found = ReferenceRunner(program).run(x)
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.01 * np.abs(expected).max()
    np.testing.assert_array_equal(Runner(program).run(x), np.float32(found))


def of_three(function: str) -> Program:
    description = ProgramDescription(
        inputs=(InputDescription("x", (3,)),),
        outputs=(OutputDescription("y", "y", per_frame=True),),
        operations=(Unary(name="f", inputs=("x",), outputs=("y",), function=function),),
    )
    return Program(description, {})
