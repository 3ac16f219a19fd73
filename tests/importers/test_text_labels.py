"""Classifiers of scikit-learn whose classes are texts: probabilities come out, and the texts are the labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import edgernn
from edgernn.errors import UnsupportedModelError
from edgernn.importers.onnx.graph.text_outputs import without_text_outputs
from edgernn.stream.config import StreamSettings
from edgernn.stream.pipeline import Pipeline
from firmware_export.generate import CModel

TEXTS = Path(__file__).parents[1] / "models" / "texts"
ALL = sorted(path.stem for path in TEXTS.glob("*.onnx"))


@pytest.mark.parametrize("name", ALL)
def test_probabilities_and_labels_are_those_of_scikit_learn(name: str) -> None:
    program = edgernn.load(TEXTS / f"{name}.onnx")
    known = np.load(TEXTS / f"{name.rpartition('_')[0]}.npz")
    assert program.metadata.labels == tuple(known["classes"])
    assert len(program.outputs) == 1
    Y = edgernn.Runner(program).run(known["in0"])
    np.testing.assert_allclose(Y, known["probabilities"], atol=1e-6)
    assert [program.metadata.labels[place] for place in Y.argmax(1)] == list(known["predicted"])
    assert "holds texts and is left out" in program.warnings[-1]


@pytest.mark.parametrize("name", ALL)
def test_a_stream_decides_on_them_without_a_further_flag(name: str) -> None:
    program = edgernn.load(TEXTS / f"{name}.onnx")
    assert Pipeline(program, StreamSettings()).labels == program.metadata.labels
    X = np.random.default_rng(1).normal(size=(200, 5)).astype(np.float32)
    int8 = edgernn.quantize(program, X)
    assert Pipeline(int8, StreamSettings()).labels == program.metadata.labels
    assert CModel(int8, "model").decides
    assert CModel(program, "model").decides


def test_labels_of_the_metadata_stay() -> None:
    model = onnx.load(TEXTS / "perceptron_two_plain.onnx")
    helper.set_model_props(model, {"edgernn.labels": "no,yes"})
    changed, labels, _ = without_text_outputs(model)
    assert labels == ("rest", "wave")
    assert [entry.name for entry in changed.graph.output] == ["probabilities"]
    assert [entry.name for entry in model.graph.output] == ["label", "probabilities"]


def test_a_model_that_gives_nothing_but_texts_is_refused(tmp_path: Path) -> None:
    model = onnx.load(TEXTS / "perceptron_two_plain.onnx")
    del model.graph.output[1]
    onnx.save(model, tmp_path / "texts.onnx")
    with pytest.raises(UnsupportedModelError, match=r"nothing but texts \(label\)"):
        edgernn.load(tmp_path / "texts.onnx")


def test_other_models_are_left_alone() -> None:
    entry = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    graph = helper.make_graph([], "graph", [entry], [entry])
    model = helper.make_model(graph)
    assert without_text_outputs(model) == (model, (), ())
