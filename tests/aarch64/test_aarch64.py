"""A converted model on a 64-bit ARM, emulated, gives what the framework gave that made it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from int8_feature_programs import PROGRAMS, counts_for
from int8_programs import int8_program

import edgernn
from edgernn.reference.runner import ReferenceRunner

CHECKOUT = Path(__file__).parents[2]
MODELS = CHECKOUT / "tests" / "models"


@pytest.mark.timeout(900)  # the first run downloads an arm64 Python
def test_a_converted_gru_gives_the_stored_outputs(tmp_path: Path, needs_tool: Callable[[str], str]) -> None:
    for tool in ("qemu-aarch64-static", "apt-get", "dpkg-deb"):
        needs_tool(tool)
    model = MODELS / "torch" / "gru_l2_bf_legacy.onnx"
    program, samples, results = (tmp_path / name for name in ("gru.safetensors", "samples.npy", "results.npz"))
    edgernn.save(edgernn.load(model), program)
    with np.load(model.with_suffix(".npz")) as stored:
        expected = stored["out0"][0]  # (T, n_out)
        np.save(samples, stored["in0"][0])  # (T, n_in)
    emulated = [CHECKOUT / "tools" / "aarch64", Path(__file__).with_name("stream_samples.py")]
    subprocess.run([*emulated, program, samples, results], check=True)
    with np.load(results) as found:
        assert found["machine"] == "aarch64"
        np.testing.assert_allclose(found["stepped"], expected, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(found["run"], found["stepped"])


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("cpu", "features", "forms", "bits"),
    [("cortex-a72", "+neon", ["plain"], 16), ("cortex-a76", "+neon,+dotprod", ["dot", "plain"], 8)],
)
def test_an_int8_program_gives_the_integers_of_the_reference(
    tmp_path: Path, needs_tool: Callable[[str], str], cpu: str, features: str, forms: list[str], bits: int
) -> None:
    """With widening multiplications or, where the processor has them, dot products."""
    for tool in ("qemu-aarch64-static", "apt-get", "dpkg-deb"):
        needs_tool(tool)
    program, file = int8_program("gru wide", 5, 11, bits), tmp_path / "program.safetensors"
    edgernn.save(program, file)
    X = np.random.default_rng(1).integers(-40_000, 40_000, (300, 5)).astype(np.float32)
    samples, results = tmp_path / "samples.npy", tmp_path / "results.npz"
    np.save(samples, X)
    emulated = [CHECKOUT / "tools" / "aarch64", Path(__file__).with_name("run_int8.py")]
    environment = os.environ | {"AARCH64_CPU": cpu, "NUMBA_CPU_FEATURES": features}
    subprocess.run([*emulated, samples, results, file], check=True, env=environment)
    with np.load(results) as found:
        assert found["machine"] == "aarch64"
        assert found["forms"].tolist() == forms
        expected = ReferenceRunner(program).run(X)
        for name in ("y", "h"):
            assert found[name].tobytes() == expected[name].astype(np.float32).tobytes()


@pytest.mark.timeout(900)
def test_functions_that_change_fast_near_0_give_the_integers_of_the_reference(
    tmp_path: Path, needs_tool: Callable[[str], str]
) -> None:
    for tool in ("qemu-aarch64-static", "apt-get", "dpkg-deb"):
        needs_tool(tool)
    program, file = PROGRAMS["near-zero"], tmp_path / "program.safetensors"
    edgernn.save(program, file)
    X = counts_for(program, 200).astype(np.float32)
    samples, results = tmp_path / "samples.npy", tmp_path / "results.npz"
    np.save(samples, X)
    emulated = [CHECKOUT / "tools" / "aarch64", Path(__file__).with_name("run_int8.py")]
    subprocess.run([*emulated, samples, results, file], check=True)
    expected = ReferenceRunner(program).run(X)
    with np.load(results) as found:
        for name, frames in expected.items():
            assert found[name].tobytes() == frames.astype(np.float32).tobytes(), name
