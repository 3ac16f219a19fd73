"""Models as exporters write them stream what the framework that made them computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from sequence_models import largest_difference

import edgernn
from edgernn.importers import import_onnx
from edgernn.reference import ReferenceRunner

MODELS = Path(__file__).parents[1] / "models"
FOLDERS = ("keras", "keras2", "torch", "trained")
SAMPLES = sorted(path.relative_to(MODELS).as_posix() for name in FOLDERS for path in (MODELS / name).glob("*.onnx"))
REFUSED = {
    "keras/gru_hardsigmoid_linear_tf2onnx": ("gru_3_1/while_loop (Loop)", "use a Keras LSTM"),
    "keras/lstm_go_backwards_tf2onnx": ("(ReverseSequence)", "train the model with forward layers"),
    "keras/masking_lstm_tf2onnx": ("while_loop (Loop)", "without masking"),
    "keras2/encdec_repeatvector_tf2onnx": ("repeat_vector/Tile (Tile)", "decoder"),
    "keras2/gru_layernorm_td_tf2onnx": ("layer_normalization/Prod (ReduceProd)", "reductions are not supported"),
    "quant/conv1d_bn_gru_legacy__qop_u8s8": ("(QLinearConv)", "stands for Conv, which is not supported"),
    "quant/dsconv_lstm2_mean_legacy__dyn_uint8": ("(ConvInteger)", "stands for Conv, which is not supported"),
    "quant/lstm_bi_head_bicat_static_dynamo__qdq_u8s8_pc": ("(LSTM)", "direction = bidirectional"),
    "quant/lstm_bi_head_bicat_static_legacy__qdq_s8s8": ("(LSTM)", "direction = bidirectional"),
    "sklearn/scaler_mlp_binary_nozipmap": ("node Scaler (ai.onnx.ml.Scaler)", "operator set ai.onnx.ml"),
    "torch/dsconv_lstm2_mean_legacy": ("/dw/Conv (Conv)", "convolution and pooling"),
    "torch/gru_attnpool_dynamo": ("node_softmax (Softmax)", "runs over time"),
    "torch/gru_bi_head_bicat_static_legacy": ("/r/GRU (GRU)", "direction = bidirectional", "forward layers only"),
    "torch/gru_scripted_loop_seq_legacy": ("(Loop)", "as an LSTM, GRU or RNN operator"),
    "torch/rnn_relu_stateful_chunk_l1_tm_dyn_dynamo": ("one of 13 parts", "along time", "dynamo=False"),
    "torch/transformer_causal_nn_legacy": ("/Add (Add)", "no position in time"),
}


def graph_arrays(path: Path, keys: str) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """Inputs and outputs that are stored beside a model, by their names in the graph."""
    graph = onnx.load(path).graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [entry.name for entry in graph.input if entry.name not in weights]
    stored = np.load(path.with_suffix(".npz"))
    feeds = {name: stored[f"{keys}in{i}"] for i, name in enumerate(inputs)}
    return feeds, {entry.name: stored[f"{keys}out{i}"] for i, entry in enumerate(graph.output)}


@pytest.mark.parametrize("sample", SAMPLES)
def test_sample_streams_what_its_framework_computed(sample: str) -> None:
    imported = import_onnx(MODELS / sample)
    assert imported.program.mode == "continuous"
    for keys in ("", "alt_"):
        if f"{keys}in0" in np.load((MODELS / sample).with_suffix(".npz")):
            feeds, expected = graph_arrays(MODELS / sample, keys)
            feeds = {name: array[:8] if "trained" in sample else array for name, array in feeds.items()}
            expected = {name: array[:8] if "trained" in sample else array for name, array in expected.items()}
            for runner in (ReferenceRunner, edgernn.Runner):
                assert largest_difference(imported, feeds, expected, runner) < 1e-5


def test_there_are_samples_of_every_exporter() -> None:
    assert len(SAMPLES) == 43
    assert {Path(sample).parent.name for sample in SAMPLES} == set(FOLDERS)


@pytest.mark.parametrize("model", sorted(REFUSED))
def test_unsupported_model_is_refused_by_name(model: str) -> None:
    with pytest.raises(edgernn.UnsupportedModelError) as caught:
        edgernn.load(MODELS / "refused" / f"{model}.onnx")
    for words in REFUSED[model]:
        assert words in str(caught.value)


def test_every_refused_model_has_its_reason_here() -> None:
    stored = {
        path.relative_to(MODELS / "refused").with_suffix("").as_posix() for path in MODELS.glob("refused/*/*.onnx")
    }
    assert stored == set(REFUSED)


def test_ports_and_states_of_a_stateful_model() -> None:
    program = edgernn.load(MODELS / "torch" / "lstm_stateful_chunk_l2_tm_dyn_legacy.onnx")
    assert [(port.name, port.shape) for port in program.inputs] == [("x", (6,))]
    assert [(port.name, port.shape) for port in program.outputs] == [("y", (3,))]
    assert [(slot.name, slot.shape) for slot in program.state] == [("h0", (2, 16)), ("c0", (2, 16))]


def test_hidden_states_are_named_after_the_first_output() -> None:
    program = edgernn.load(MODELS / "torch" / "lstm_head_last_static_dynamo.onnx")
    assert [slot.name.rpartition(".")[2] for slot in program.state] == ["h", "c"]
    assert program.trained_steps == 25
    assert not program.description.outputs[0].per_frame
