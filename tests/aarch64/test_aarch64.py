"""A converted model on a 64-bit ARM, emulated, gives what the framework gave that made it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import edgernn

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
