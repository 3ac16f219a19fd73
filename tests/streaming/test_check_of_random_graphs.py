"""``check`` proves random graphs, in all modes, and finds what is wrong with a program."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from random_sequence_graphs import RandomGraph
from sequence_models import cell_weights, make_model

from edgernn.errors import InputError
from edgernn.evaluation.equivalence import check_streaming, least_steps, random_sequences, recorded_sequences
from edgernn.evaluation.onnxruntime_model import OnnxruntimeModel
from edgernn.importers import import_onnx
from edgernn.importers.onnx.translation import ImportedModel
from edgernn.program.operations import Schedule
from edgernn.program.program import Program

GRAPHS = 80


def imported_graph(path: Path, graph: RandomGraph) -> ImportedModel:
    onnx.save(graph.model, path)
    window = graph.frozen_steps or graph.least_steps + 4
    if not graph.needs_window:
        window = window if graph.seed % 4 == 0 else None
    axis = None if graph.frozen_steps is None else 2 if graph.is_time_last else 1
    return import_onnx(path, window=window, hop=1 if window is None else 2, time_axis=axis)


@pytest.mark.parametrize("first", range(0, GRAPHS, 20))
def test_random_graphs_are_proved(first: int, tmp_path: Path) -> None:
    path = tmp_path / "graph.onnx"
    for seed in range(first, first + 20):
        imported = imported_graph(path, RandomGraph(seed))
        report = check_streaming(OnnxruntimeModel(path, imported), random_sequences(imported.program, 40))
        assert report.agrees, (seed, report)
        assert {comparison.name for comparison in report.comparisons} == {p.name for p in imported.program.outputs}


def test_a_program_that_is_late_by_a_step_is_found(tmp_path: Path) -> None:
    """Each output in turn begins a frame later than it should, so that there is one that it never gives."""
    path, found = tmp_path / "graph.onnx", 0
    for seed in range(30):
        imported = imported_graph(path, RandomGraph(seed))
        description = imported.program.description
        if description.window is not None:
            continue
        for place, output in enumerate(description.outputs):
            if not output.per_frame:
                continue
            when = output.when
            late = Schedule(when.first + when.period, when.period, when.extra - when.period)
            outputs = list(description.outputs)
            outputs[place] = msgspec.structs.replace(output, when=late)
            changed = Program(msgspec.structs.replace(description, outputs=tuple(outputs)), imported.program.weights)
            original = OnnxruntimeModel(path, replace(imported, program=changed))
            report = check_streaming(original, random_sequences(changed, 40))
            assert not report.agrees
            (wrong,) = [comparison for comparison in report.comparisons if comparison.first_difference]
            assert wrong.name == output.name
            assert wrong.first_difference.startswith("frame ")
            found += 1
    assert found >= 20


def test_whole_outputs_behind_look_ahead_come_with_flush(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "W"], ["frames"], pads=[2, 2]),
        helper.make_node("GlobalMaxPool", ["frames"], ["y"]),
    ]
    W = np.random.default_rng(0).standard_normal((3, 2, 5)).astype(np.float32)
    model = make_model(nodes, {"x": [1, 2, "time"]}, ["y"], {"W": W})
    onnx.save(model, tmp_path / "model.onnx")
    for tail, compared in (("step", "7 prefixes"), ("flush", "1 prefixes")):
        imported = import_onnx(tmp_path / "model.onnx")
        imported = replace(imported, program=imported.program.with_tail(tail))
        original = OnnxruntimeModel(tmp_path / "model.onnx", imported)
        report = check_streaming(original, random_sequences(imported.program, 60))
        assert report.agrees
        assert report.comparisons[0].compared == compared


def ids_model(path: Path) -> None:
    """An embedding of 7 rows, then an RNN."""
    rng = np.random.default_rng(1)
    arrays = {"table": (7, 3), "W": (1, 4, 3), "R": (1, 4, 4)}
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "ids"], ["rows"], axis=0),
            helper.make_node("RNN", ["rows", "W", "R"], ["y", "last"], hidden_size=4),
        ],
        "graph",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["time", 1])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("y", "last")],
        [numpy_helper.from_array(rng.uniform(-0.5, 0.5, shape).astype("f"), n) for n, shape in arrays.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_ids_are_drawn_from_the_table_or_recorded(tmp_path: Path) -> None:
    path = tmp_path / "ids.onnx"
    ids_model(path)
    imported = import_onnx(path)
    original = OnnxruntimeModel(path, imported)
    drawn = random_sequences(imported.program, 60)
    assert set(drawn["ids"].ravel().tolist()) == set(range(7))
    assert check_streaming(original, drawn).agrees
    (tmp_path / "ids.csv").write_text("".join(f"{i % 7}\n" for i in range(40)))
    assert check_streaming(original, recorded_sequences(imported.program, tmp_path / "ids.csv")).steps == 40
    (tmp_path / "ids.csv").write_text("1\n2.5\n")
    with pytest.raises(InputError, match="not whole"):
        recorded_sequences(imported.program, tmp_path / "ids.csv")


def test_prefixes_begin_where_the_model_is_defined(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "W"], ["frames"], dilations=[3]),
        helper.make_node("GlobalAveragePool", ["frames"], ["y"]),
    ]
    W = np.random.default_rng(0).standard_normal((3, 2, 5)).astype(np.float32)
    onnx.save(make_model(nodes, {"x": [1, 2, "time"]}, ["y"], {"W": W}), tmp_path / "model.onnx")
    imported = import_onnx(tmp_path / "model.onnx")
    assert least_steps(imported.program) == 13
    original = OnnxruntimeModel(tmp_path / "model.onnx", imported)
    report = check_streaming(original, random_sequences(imported.program, 60))
    assert report.agrees
    assert report.comparisons[0].compared == "5 prefixes"
    with pytest.raises(InputError, match="has 12 samples, the model needs 13"):
        check_streaming(original, random_sequences(imported.program, 12))


def test_last_states_behind_look_ahead_are_those_after_the_tail(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    weights = cell_weights("LSTM", 4, 3, rng) | {"K": rng.standard_normal((4, 2, 3)).astype(np.float32)}
    nodes = [
        helper.make_node("Conv", ["x", "K"], ["c"], pads=[1, 1]),
        helper.make_node("Transpose", ["c"], ["t"], perm=[2, 0, 1]),
        helper.make_node("LSTM", ["t", "W", "R", "B", "", "h", "c_in"], ["y", "hn", "cn"], hidden_size=3),
    ]
    inputs: dict[str, list[int | str]] = {"x": [1, 2, "time"], "h": [1, 1, 3], "c_in": [1, 1, 3]}
    onnx.save(make_model(nodes, inputs, ["y", "hn", "cn"], weights), tmp_path / "model.onnx")
    imported = import_onnx(tmp_path / "model.onnx")
    assert (imported.program.mode, imported.pairs) == ("delayed", {"h": "hn", "c_in": "cn"})
    report = check_streaming(
        OnnxruntimeModel(tmp_path / "model.onnx", imported), random_sequences(imported.program, 30)
    )
    assert report.agrees
    assert [comparison.compared for comparison in report.comparisons] == ["30 frames", "last state", "last state"]
