"""Checking finds what differs, and says what it compared."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from sequence_models import make_model

from edgernn.demo import MODEL, RECORDING
from edgernn.errors import InputError
from edgernn.evaluation.equivalence import check_streaming, random_sequences
from edgernn.evaluation.onnxruntime_model import FixedLengthError, OnnxruntimeModel
from edgernn.importers import import_onnx
from edgernn.program.operations import Schedule
from edgernn.program.program import Program

Command = Callable[..., tuple[int, str, str]]
TORCH = Path(__file__).parents[1] / "models" / "torch"
FRAMES = TORCH / "lstm_head_seqsoft_dyn_legacy.onnx"  # a result for every frame, free batch and time
LAST = TORCH / "gru_head_last_opset18_legacy.onnx"  # a result for the whole sequence
RIGID = TORCH / "gru_head_last_opset21_dynamo.onnx"  # 25 samples in a batch of 2, frozen in its Reshape nodes
ALIAS = TORCH / "rnn_relu_l1_bf_legacy.onnx"  # its last state is the last frame itself
LAYERS = TORCH / "gru_l2_bf_legacy.onnx"  # frames and last states of two layers, in a batch of 2
CHUNK = TORCH / "gru_stateful_chunk_l1_bf_dyn_dynamo.onnx"  # a state as input and output
CONDITION = TORCH.parent / "made" / "condition_and_spread_legacy.onnx"  # an input without time
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
    original = OnnxruntimeModel(path, dataclasses.replace(imported, program=program))
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
        (CONDITION, {"y": "7 prefixes"}),
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


@pytest.mark.parametrize(
    ("when", "difference"),
    [(Schedule(first=3, extra=-3), "frame 0, number"), (Schedule(period=2, extra=1), "frame 1, number")],
)
def test_frames_that_are_missing_are_found(when: Schedule, difference: str) -> None:
    """A program that says nothing at first, or in every other step."""
    imported = import_onnx(FRAMES)
    description = imported.program.description
    (output,) = description.outputs
    changed = msgspec.structs.replace(description, outputs=(msgspec.structs.replace(output, when=when),))
    program = Program(changed, imported.program.weights)
    original = OnnxruntimeModel(FRAMES, dataclasses.replace(imported, program=program))
    report = check_streaming(original, random_sequences(program, 20))
    assert not report.agrees
    assert report.comparisons[0].largest_difference == np.inf
    assert difference in report.comparisons[0].first_difference


def test_a_frozen_length_is_named() -> None:
    imported = import_onnx(RIGID)
    report = check_streaming(OnnxruntimeModel(RIGID, imported), random_sequences(imported.program, 60))
    assert report.steps == 25
    assert "frozen length of 25" in report.notes[0]
    windowed = dataclasses.replace(imported, program=imported.program.with_window(7))
    with pytest.raises(FixedLengthError, match="only on 25 samples"):
        check_streaming(OnnxruntimeModel(RIGID, windowed), random_sequences(imported.program, 60))


def recurrent_model(
    path: Path, operator: str, shapes: dict[str, list[int | str]], number_type: int = 1, layout: int = 0
) -> None:
    """A cell of 3 units behind the first input, with output y; the other inputs are not used."""
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[operator]
    rng = np.random.default_rng(0)
    number = onnx.helper.tensor_dtype_to_np_dtype(number_type)
    weights = {"W": (1, 3 * gates, 2), "R": (1, 3 * gates, 3)}
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(operator, ["x", "W", "R"], ["y"], hidden_size=3, layout=layout)],
        "model",
        [onnx.helper.make_tensor_value_info(name, number_type, shape) for name, shape in shapes.items()],
        [onnx.helper.make_tensor_value_info("y", number_type, None)],
        [onnx.numpy_helper.from_array(rng.uniform(-0.5, 0.5, shape).astype(number), n) for n, shape in weights.items()],
    )
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)


def change_graph(path: Path, change: Callable[[onnx.GraphProto], None]) -> None:
    model = onnx.load(path)
    change(model.graph)
    onnx.save(model, path)


def test_inputs_that_nobody_uses_need_no_values(tmp_path: Path) -> None:
    path = tmp_path / "unused.onnx"
    recurrent_model(path, "GRU", {"x": ["time", 1, 2], "mask": ["time", 1], "lengths": [1]})
    nodes = [onnx.helper.make_node("Relu", ["mask"], ["unread"])]
    change_graph(path, lambda graph: graph.node.extend(nodes))
    assert check(path) == {"y": "60 frames"}


def test_frames_of_one_number_without_an_axis(tmp_path: Path) -> None:
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Tanh", ["x"], ["y"])],
        "model",
        [onnx.helper.make_tensor_value_info("x", 1, ["time"])],
        [onnx.helper.make_tensor_value_info("y", 1, ["time"])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "scalar.onnx")
    assert check(tmp_path / "scalar.onnx") == {"y": "60 frames"}


@pytest.mark.parametrize(("window", "compared"), [(None, "60 frames"), ((10, 3), "17 of 17 windows")])
def test_a_step_whose_only_output_is_its_state(tmp_path: Path, window: tuple[int, int] | None, compared: str) -> None:
    """A running mean: h_out = 0.9 h_in + x."""
    ports = [onnx.helper.make_tensor_value_info(name, 1, [1, 3]) for name in ("x", "h_in", "h_out")]
    nodes = [
        onnx.helper.make_node("Mul", ["h_in", "decay"], ["old"]),
        onnx.helper.make_node("Add", ["old", "x"], ["h_out"]),
    ]
    decay = onnx.numpy_helper.from_array(np.array(0.9, np.float32), "decay")
    graph = onnx.helper.make_graph(nodes, "model", ports[:2], ports[2:], [decay])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "mean.onnx")
    assert check(tmp_path / "mean.onnx", window=window) == {"h_out": compared}


def test_lengths_of_sequences_freeze_the_length(tmp_path: Path) -> None:
    path = tmp_path / "lengths.onnx"
    recurrent_model(path, "LSTM", {"x": [20, 1, 2]})

    def add_lengths(graph: onnx.GraphProto) -> None:
        graph.initializer.append(onnx.numpy_helper.from_array(np.array([20], np.int32), "lengths"))
        graph.node[0].input.extend(["", "lengths"])

    change_graph(path, add_lengths)
    assert check(path) == {"y": "20 frames"}


def test_a_reshape_that_takes_frames_for_the_batch_is_frozen(tmp_path: Path) -> None:
    """With 60 samples it gives a batch of 3, without any error."""
    path = tmp_path / "reshape.onnx"
    recurrent_model(path, "GRU", {"x": [20, 1, 2]})

    def add_head(graph: onnx.GraphProto) -> None:
        shape, last = np.array([20, -1, 3]), np.array(-1)
        graph.initializer.extend(
            [onnx.numpy_helper.from_array(shape, "shape"), onnx.numpy_helper.from_array(last, "last")]
        )
        graph.node[0].output[0] = "frames"
        graph.node.append(onnx.helper.make_node("Reshape", ["frames", "shape"], ["rows"]))
        graph.node.append(onnx.helper.make_node("Gather", ["rows", "last"], ["y"], axis=0))

    change_graph(path, add_head)
    assert check(path) == {"y": "1 prefixes"}


def test_a_length_that_only_the_outputs_tell(tmp_path: Path) -> None:
    """Time is free in the input, but a Reshape and the output's shape hold the exporter's 20 samples."""
    path = tmp_path / "stale.onnx"
    recurrent_model(path, "GRU", {"x": ["time", 1, 2]})

    def add_reshape(graph: onnx.GraphProto) -> None:
        graph.initializer.append(onnx.numpy_helper.from_array(np.array([20, 1, 3]), "shape"))
        graph.node[0].output[0] = "frames"
        graph.node.append(onnx.helper.make_node("Reshape", ["frames", "shape"], ["y"]))
        graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y", 1, [20, 1, 3]))

    change_graph(path, add_reshape)
    assert check(path) == {"y": "20 frames"}


def test_what_onnxruntime_refuses_cannot_be_checked(tmp_path: Path, edgernn_command: Command) -> None:
    recurrent_model(tmp_path / "batch_first.onnx", "GRU", {"x": [1, "time", 2]}, layout=1)
    status, _, err = edgernn_command("check", tmp_path / "batch_first.onnx")
    assert status == 1
    assert "onnxruntime refuses it" in err
    assert "internal" not in err


@pytest.mark.parametrize("stem", ["grucell_step_legacy__qop_u8s8", "lstm_head_last_static_legacy__dyn_uint8"])
def test_quantized_models_are_compared_as_such(stem: str, edgernn_command: Command) -> None:
    path = Path(__file__).parents[1] / "models" / "quant" / f"{stem}.onnx"
    assert edgernn_command("check", path)[0] == 0
    assert edgernn_command("check", path, "--tolerance", "1e-5")[0] == 1


def test_float16_is_compared_as_float16(tmp_path: Path, edgernn_command: Command) -> None:
    recurrent_model(tmp_path / "half.onnx", "GRU", {"x": ["time", 1, 2]}, onnx.TensorProto.FLOAT16)
    assert edgernn_command("check", tmp_path / "half.onnx")[0] == 0
    assert edgernn_command("check", tmp_path / "half.onnx", "--tolerance", "1e-5")[0] == 1


def test_too_short_a_sequence_is_refused() -> None:
    imported = import_onnx(RIGID)
    with pytest.raises(InputError, match="has 9 samples, the model needs 25"):
        check_streaming(OnnxruntimeModel(RIGID, imported), random_sequences(imported.program, 9))


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


def saved(tmp_path: Path, nodes: list[onnx.NodeProto], length: int | str, **weights: Any) -> Path:
    path = tmp_path / "model.onnx"
    arrays = {name: np.asarray(array) for name, array in weights.items()}
    onnx.save(make_model(nodes, {"x": (1, 2, length)}, ["y"], arrays), path)
    return path


@pytest.mark.parametrize("pooled", [False, True])
def test_a_graph_that_is_defined_for_even_lengths_only(tmp_path: Path, pooled: bool) -> None:
    node = onnx.helper.make_node
    nodes = [
        node("MaxPool", ["x"], ["short"], kernel_shape=[2], strides=[2]),
        node(
            "Resize",
            ["short", "", "scales"],
            ["long"],
            nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        ),
        node("Add", ["x", "long"], ["sum" if pooled else "y"]),
    ]
    nodes += [node("GlobalAveragePool", ["sum"], ["y"])] if pooled else []
    path = saved(tmp_path, nodes, "time", scales=np.float32([1, 1, 2]))
    report = check_streaming(
        OnnxruntimeModel(path, import_onnx(path, time_axis=2)), {"x": np.ones((61, 2), np.float32)}
    )
    assert report.agrees
    assert (report.steps, report.notes) == (60, ())
    assert report.comparisons[0].compared == ("6 prefixes" if pooled else "30 frames")


def test_a_file_that_holds_its_number_of_frames_is_checked_on_its_length(tmp_path: Path) -> None:
    node = onnx.helper.make_node
    nodes = [
        node("ConvTranspose", ["x", "W"], ["longer"], strides=[2]),
        node("Slice", ["longer", "from", "to", "axis"], ["y"]),
    ]
    W = np.ones((2, 3, 4), np.float32)
    path = saved(tmp_path, nodes, 8, W=W, **{"from": [1], "to": [17], "axis": [2]})
    report = check_streaming(
        OnnxruntimeModel(path, import_onnx(path, time_axis=2)), {"x": np.ones((20, 2), np.float32)}
    )
    assert report.agrees
    assert report.steps == 8
    assert "frozen length of 8" in report.notes[0]
