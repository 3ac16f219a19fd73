"""``edgernn export`` says what the C leaves out of what a stream does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_programs import cell_program

import edgernn
from edgernn.program.metadata import Metadata

Command = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("labels", [(), ("rest", "left", "right", "turn")])
def test_what_is_left_out_is_said(labels: tuple[str, ...], tmp_path: Path, edgernn_command: Command) -> None:
    program = cell_program("rnn")
    channels = program.inputs[0].size
    metadata = Metadata(labels=labels, mean=(0.0,) * channels, std=(1.0,) * channels)
    edgernn.save(program.with_metadata(metadata), tmp_path / "model.safetensors")
    status, out, _ = edgernn_command("export", tmp_path / "model.safetensors", "-o", tmp_path / "c", "--json")
    assert status == 0
    left_out = json.loads(out)["left_out"]
    assert set(left_out) == ({"flush"} if labels else {"decide", "flush"})
    assert json.loads((tmp_path / "c" / "edgernn.json").read_text())["left_out"] == left_out
    header = (tmp_path / "c" / "model.h").read_text()
    for function in ("decide", "normalise", "flush"):
        assert (f"model_{function}(" in header) == (function not in left_out)
    status, out, _ = edgernn_command("export", tmp_path / "model.safetensors", "-o", tmp_path / "c")
    assert status == 0
    assert ("without decide" in out) == (not labels)
    assert "without normalise" not in out


def test_an_int8_program_of_counts_normalises_by_itself(tmp_path: Path, edgernn_command: Command) -> None:
    program = cell_program("rnn")
    channels = program.inputs[0].size
    program = program.with_metadata(Metadata(mean=(1.0,) * channels, std=(90.0,) * channels))
    counts = np.rint(np.random.default_rng(1).normal(size=(200, channels)) * 100)
    edgernn.save(edgernn.quantize(program, counts), tmp_path / "model.safetensors")
    status, out, _ = edgernn_command("export", tmp_path / "model.safetensors", "-o", tmp_path / "c", "--json")
    assert status == 0
    assert json.loads(out)["left_out"]["normalise"] == "the step takes the sensor's integers as they are"
