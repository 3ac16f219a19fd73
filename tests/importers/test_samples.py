"""Models as exporters write them stream what the framework that made them computed."""

from __future__ import annotations

from pathlib import Path

import pytest
from sequence_models import graph_arrays, largest_difference, stored_arrays

import edgernn
from edgernn.importers import import_onnx
from edgernn.program.operations import Binary, Gru, Lstm, Rnn, Unary
from edgernn.reference.runner import ReferenceRunner

MODELS = Path(__file__).parents[1] / "models"
TOLERANCES = {"keras": 1e-5, "keras2": 1e-5, "torch": 1e-5, "trained": 1e-5, "sklearn": 1e-5, "quant": 2e-2}
REFUSED = {"sklearn/randomforest": "forest of decision trees is no sequence model"}
WINDOWED = {
    "keras/lstm_go_backwards_tf2onnx",
    "keras2/lstm_go_backwards_tf2onnx",
    "quant/lstm_bi_head_bicat_static_dynamo__qdq_u8s8_pc",
    "quant/lstm_bi_head_bicat_static_legacy__qdq_s8s8",
    "torch/gru_bi_head_bicat_static_legacy",
    "torch/gru_l2_bi_bf_legacy",
    "torch/gru_l2_bi_tm_dynamo",
    "torch/lstm_l1_bi_tm_legacy",
    "torch/lstm_l2_bi_bf_dynamo",
    "torch/lstm_l2_bi_tm_legacy",
    "torch/rnn_tanh_l1_bi_bf_dynamo",
    "torch/transformer_causal_nn_legacy",
}
# a recurrence that the exporter wrote as a loop, step by step or in plain operators, and the cell that it is
WRITTEN_OUT = {
    "keras/gru_hardsigmoid_linear_tf2onnx": Gru,
    "keras/gru_reset_after_last_tf2onnx_fixed": Gru,
    "keras/gru_reset_before_last_keras_export": Gru,
    "keras/lstm_last_dense_tf2onnx_fixed": Lstm,
    "keras/simplernn_last_keras_export": Rnn,
    "keras2/simplernn_relu_seq_tf2onnx": Rnn,
    "torch/gru_scripted_loop_seq_legacy": Gru,
    "torch/grucell_step_dynamo": Gru,
    "torch/lstmcell_step_dynamo": Lstm,
    "torch/rnn_relu_head_last_dyn_dynamo": Rnn,
    "torch/rnn_relu_l2_tm_dynamo": Rnn,
    "torch/rnn_relu_stateful_chunk_l1_tm_dyn_dynamo": Rnn,
    "torch/rnn_tanh_l1_bi_bf_dynamo": Rnn,
    "torch/rnncell_step_legacy": Rnn,
}
ALL = sorted(path.relative_to(MODELS).with_suffix("").as_posix() for path in MODELS.glob("*/*.onnx"))
SAMPLES = [name for name in ALL if name.partition("/")[0] in TOLERANCES and name not in REFUSED]


@pytest.mark.parametrize("sample", SAMPLES)
def test_sample_streams_what_its_framework_computed(sample: str) -> None:
    path = MODELS / f"{sample}.onnx"
    imported = import_onnx(path)
    mode = "windowed" if sample in WINDOWED else "continuous"
    assert imported.program.mode == mode
    for keys in ("", "alt_"):
        if f"{keys}in0" in stored_arrays(path.with_suffix(".npz")) and (mode == "continuous" or not keys):
            feeds, expected = graph_arrays(path, keys)
            feeds = {name: array[:8] if "trained" in sample else array for name, array in feeds.items()}
            expected = {name: array[:8] if "trained" in sample else array for name, array in expected.items()}
            for runner in (ReferenceRunner, edgernn.Runner):
                difference = largest_difference(imported, feeds, expected, runner)
                assert difference < TOLERANCES[sample.partition("/")[0]]


@pytest.mark.parametrize("sample", sorted(WRITTEN_OUT))
def test_written_out_cell_becomes_the_cell(sample: str) -> None:
    operations = edgernn.load(MODELS / f"{sample}.onnx").operations
    assert any(isinstance(operation, WRITTEN_OUT[sample]) for operation in operations)
    assert not any(isinstance(operation, Binary | Unary) for operation in operations[:-1])


def test_there_are_samples_of_every_exporter() -> None:
    assert len(SAMPLES) == 88
    assert {sample.partition("/")[0] for sample in SAMPLES} == set(TOLERANCES)


@pytest.mark.parametrize("sample", sorted(REFUSED))
def test_unsupported_model_is_refused_by_name(sample: str) -> None:
    with pytest.raises(edgernn.UnsupportedModelError, match=REFUSED[sample]):
        edgernn.load(MODELS / f"{sample}.onnx")


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
