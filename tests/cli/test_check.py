"""Checking finds what differs, and says what it compared."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest

from edgernn.checking import check_streaming, random_sequences
from edgernn.demo import MODEL, RECORDING
from edgernn.errors import InputError
from edgernn.importers import import_onnx
from edgernn.original import Original, RigidLengthError
from edgernn.program import Program

Command = Callable[..., tuple[int, str, str]]
TORCH = Path(__file__).parents[1] / "models" / "torch"
FRAMES = TORCH / "lstm_head_seqsoft_dyn_legacy.onnx"  # a result for every frame, free batch and time
LAST = TORCH / "gru_head_last_opset18_legacy.onnx"  # a result for the whole sequence
RIGID = TORCH / "gru_head_last_opset21_dynamo.onnx"  # 25 samples in a batch of 2, frozen in its Reshape nodes
ALIAS = TORCH / "rnn_relu_l1_bf_legacy.onnx"  # its last state is the last frame itself
LAYERS = TORCH / "gru_l2_bf_legacy.onnx"  # frames and last states of two layers, in a batch of 2
CHUNK = TORCH / "gru_stateful_chunk_l1_bf_dyn_dynamo.onnx"  # a state as input and output
STEP = TORCH / "rnn_tanh_stateful_step_l1_tm_dynamo.onnx"  # one time step


def check(path: Path, steps: int = 60, window: tuple[int, int] | None = None, change: str = "") -> dict[str, str]:
    """What was compared for each output and state, after a check that agrees; `change` names a weight to spoil."""
    imported = import_onnx(path)
    program = imported.program
    if change:
        spoiled = {name: array + (name == change) * np.float32(1e-3) for name, array in program.weights.items()}
        program = Program(program.description, spoiled)
    if window is not None:
        program = program.with_window(*window)
    original = Original(path, dataclasses.replace(imported, program=program))
    report = check_streaming(original, random_sequences(program, steps))
    assert report.agrees is not bool(change)
    return {comparison.name: comparison.compared for comparison in report.comparisons}


@pytest.mark.parametrize(
    ("path", "compared"),
    [
        (FRAMES, {"logits": "60 frames"}),
        (LAST, {"logits": "7 prefixes"}),
        (RIGID, {"logits": "1 prefixes"}),
        (LAYERS, {"out": "60 frames", "hn": "7 prefixes"}),
        (CHUNK, {"y": "60 frames", "h0": "last state"}),
        (STEP, {"y": "60 frames", "h0": "last state"}),
    ],
    ids=lambda value: value.stem if isinstance(value, Path) else "",
)
def test_models_of_each_kind_are_compared_and_agree(path: Path, compared: dict[str, str]) -> None:
    assert check(path) == compared


@pytest.mark.parametrize("path", [FRAMES, LAST, ALIAS, LAYERS], ids=lambda path: path.stem)
def test_windows_are_compared_each_by_itself(path: Path) -> None:
    assert set(check(path, window=(10, 3)).values()) == {"17 of 17 windows"}


@pytest.mark.parametrize(("path", "window"), [(FRAMES, None), (LAST, None), (CHUNK, None), (LAST, (10, 3))])
def test_a_changed_weight_is_found(path: Path, window: tuple[int, int] | None) -> None:
    """The oracle is the file; the program under test is spoiled."""
    program = import_onnx(path).program
    cell = next(operation for operation in program.operations if hasattr(operation, "R"))
    check(path, window=window, change=cell.R)


def test_a_missing_warm_up_is_found() -> None:
    """A program that says nothing at first has fewer frames than the original."""
    imported = import_onnx(FRAMES)
    late = msgspec.structs.replace(imported.program.description, warmup_steps=3)
    program = Program(late, imported.program.weights)
    original = Original(FRAMES, dataclasses.replace(imported, program=program))
    report = check_streaming(original, random_sequences(program, 20))
    assert not report.agrees
    assert report.comparisons[0].largest_difference == np.inf


def test_a_frozen_length_is_named() -> None:
    imported = import_onnx(RIGID)
    report = check_streaming(Original(RIGID, imported), random_sequences(imported.program, 60))
    assert report.steps == 25
    assert "frozen length of 25" in report.notes[0]
    windowed = dataclasses.replace(imported, program=imported.program.with_window(7))
    with pytest.raises(RigidLengthError, match="frozen at 25"):
        check_streaming(Original(RIGID, windowed), random_sequences(imported.program, 60))


def test_too_short_a_sequence_is_refused() -> None:
    imported = import_onnx(RIGID)
    with pytest.raises(InputError, match="has 9 samples, the model needs 25"):
        check_streaming(Original(RIGID, imported), random_sequences(imported.program, 9))


def test_the_command_compares_a_recording(edgernn_command: Command) -> None:
    status, out, _ = edgernn_command("check", MODEL, RECORDING, "--steps", 400, "--json")
    assert status == 0
    report = json.loads(out)
    assert report["agrees"] is True
    assert report["steps"] == 400
    assert report["comparisons"][0]["compared"] == "400 frames"


def test_the_command_fails_where_something_differs(edgernn_command: Command) -> None:
    status, out, _ = edgernn_command("check", MODEL, "--tolerance", 0)
    assert status == 1
    assert "DIFFERS" in out


@pytest.mark.parametrize(
    ("content", "message"),
    [("1,2,3\n4,5,6\n", "has 3 channels, input samples takes 6"), ("words\n", "no samples")],
)
def test_a_recording_that_does_not_fit_is_status_1(
    content: str, message: str, tmp_path: Path, edgernn_command: Command
) -> None:
    (tmp_path / "recording.csv").write_text(content)
    status, _, err = edgernn_command("check", MODEL, tmp_path / "recording.csv")
    assert status == 1
    assert message in err


def test_a_program_file_has_no_original(tmp_path: Path, edgernn_command: Command) -> None:
    edgernn_command("convert", MODEL, "-o", tmp_path / "demo.safetensors")
    status, _, err = edgernn_command("check", tmp_path / "demo.safetensors")
    assert status == 2
    assert "check the ONNX file" in err


def test_a_refused_model_is_status_3(tmp_path: Path, edgernn_command: Command) -> None:
    model = onnx.load(MODEL)
    model.graph.node[0].op_type = "Unheard"
    onnx.save(model, tmp_path / "odd.onnx")
    assert edgernn_command("check", tmp_path / "odd.onnx")[0] == 3
