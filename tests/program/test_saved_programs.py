"""Program files of earlier versions load, are the same programs, and compute the numbers stored beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgernn
from edgernn.program.file import load_program

SAVED = Path(__file__).parent / "saved"
NAMES = ("gru", "gru_int8", "gru_windowed", "bidirectional_loop")


@pytest.mark.parametrize("name", NAMES)
def test_saved_program_gives_the_stored_numbers(name: str) -> None:
    with np.load(SAVED / "expected.npz") as expected:
        X, Y, digest = expected[f"{name}.x"], expected[f"{name}.y"], expected[f"{name}.hash"].tobytes().decode()
    program = load_program(SAVED / f"{name}.safetensors")
    assert program.hash == digest
    found = edgernn.Runner(program).run(X)
    if program.arithmetic == "int8":
        assert (found == Y).all()
    np.testing.assert_allclose(found, Y, atol=1e-6)  # the kernels' order of sums depends on the processor


@pytest.mark.parametrize("name", NAMES)
def test_saved_program_is_written_in_the_same_form(name: str, tmp_path: Path) -> None:
    program = load_program(SAVED / f"{name}.safetensors")
    edgernn.save(program, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (SAVED / f"{name}.safetensors").read_bytes()
