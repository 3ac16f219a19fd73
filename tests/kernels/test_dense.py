"""Matrix times vector in the compiled kernels: every form, at any size, against float64."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription
from edgernn.program.operations import Dense, Unary
from edgernn.program.program import Program
from edgernn.runtime.runner import Runner


@settings(max_examples=60)
@given(rows=st.integers(1, 3), K=st.integers(1, 70), N=st.integers(1, 70), bias=st.booleans())
@example(rows=1, K=1, N=1, bias=True)
@example(rows=2, K=33, N=8, bias=False)
def test_every_size_equals_float64(rows: int, K: int, N: int, bias: bool) -> None:
    rng = np.random.default_rng(100 * K + N)
    weights = {"W": rng.uniform(-1, 1, (N, K)).astype(np.float32)}
    if bias:
        weights["B"] = rng.uniform(-1, 1, N).astype(np.float32)
    description = ProgramDescription(
        inputs=(InputDescription("x", (rows, K)),),
        outputs=(OutputDescription("y", "y", per_frame=True),),
        operations=(
            Unary(name="log", inputs=("x",), outputs=("a",), function="Log"),
            Dense(name="sum", inputs=("a",), outputs=("y",), W="W", B="B" if bias else None),
        ),
    )
    x = rng.uniform(0.1, 3.0, (rows, K))  # behind it in the arena lies the logarithm of zeros
    expected = np.log(x.astype(np.float32).astype(np.float64)) @ weights["W"].T.astype(np.float64)
    expected += weights["B"] if bias else 0
    assert np.abs(Runner(Program(description, weights)).step(x) - expected).max() < 1e-5
