"""``--set`` in all commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from branching_model import branching_model

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def branching(tmp_path: Path) -> Path:
    path = tmp_path / "branching.onnx"
    onnx.save(branching_model(), path)
    return path


def test_set_is_an_option_of_all_commands_and_is_kept_in_the_program(
    branching: Path, tmp_path: Path, edgernn_command: Command
) -> None:
    converted = tmp_path / "converted.safetensors"
    assert edgernn_command("convert", branching, "-o", converted, "--set", "sr=16000")[0] == 0
    facts = json.loads(edgernn_command("inspect", converted, "--json")[1])
    assert facts["fixed"] == {"sr": [16000]}
    assert "input sr to 16000" in edgernn_command("inspect", converted)[1]
    status, out, err = edgernn_command("check", branching, "--set", "sr=8000")
    assert status == 0, out + err
    assert edgernn_command("check", branching, "--set", "sr")[0] == 2
    status, _, err = edgernn_command("inspect", branching, "--set", "rate=8000")
    assert status == 1
    assert "no input 'rate'" in err
    assert "x, sr" in err
