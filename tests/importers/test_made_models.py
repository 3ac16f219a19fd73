"""Models that tools/make_fixtures.py made stream what their framework computed; the cells in them are found."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from sequence_models import graph_arrays, largest_difference, stored_arrays

import edgernn
from edgernn.importers import import_onnx
from edgernn.reference.runner import ReferenceRunner

MADE = Path(__file__).parents[1] / "models" / "made"
ALL = sorted(path.stem for path in MADE.glob("*.onnx"))
WINDOWED = {
    "attention_band_rotary": "differs along time",
    "attention_causal_alibi": "attends over all frames",
    "attention_causal_learned": "differs along time",
    "attention_causal_opset23": "attends over time",
    "attention_causal_rotary": "differs along time",
    "attention_causal_sinusoidal": "differs along time",
    "attention_encoder_ids": "differs along time",
    "decoder_attending": "combines what belongs to the whole sequence",
    "excite_whole": "combines what belongs to the whole sequence",
    "loop_reverse": "reads by the number of the iteration",
    "perceptron_window": "weights that span time",
    "pool_last_query": "combines what belongs to the whole sequence",
    "rnn_bidirectional2": "takes frames by their position",
    "tf_keras_bidirectional_gru": "reads the sequence from its end",
    "tf_keras_causal_attention": "products of all frames with each other",
}
DELAYED = ("mask_net", "separable", "unet")
# the cells that recurrences became, however the exporter wrote them, with nothing of them left in plain operators
CELLS = {
    "characters_gru": {"Gru": 1},
    "characters_step": {"Gru": 1},
    "conv_gru_last": {"Gru": 1},
    "keras_gru2": {"Gru": 2},
    "keras_gru_hard": {"Gru": 1},
    "keras_gru_reset_before": {"Gru": 1},
    "keras_gru_unrolled": {"Gru": 1},
    "keras_lstm_hard": {"Lstm": 1},
    "keras_lstm_unrolled": {"Lstm": 1},
    "keras_simple_unrolled": {"Rnn": 1},
    "keras_simple2": {"Rnn": 2},
    "loop_gru_last": {"Gru": 1},
    "loop_two": {"Gru": 2},
    "pool_attention": {"Gru": 1},
    "rnn_nobias_last": {"Rnn": 1},
    "rnn_relu3_frames": {"Rnn": 3},
    "rnn_tanh2_last": {"Rnn": 2},
    "step_three_grus": {"Gru": 3},
    "tensorflow1_dynamic_rnn": {"Gru": 1},
    "tensorflow1_static_rnn": {"Gru": 1, "Rnn": 1},
    "tensorflow1_static_rnn_lstm": {"Lstm": 1},
    "tf_keras_characters": {"Gru": 1},
    "tf_keras_conv_gru": {"Gru": 1},
    "tf_keras_gru2": {"Gru": 2},
    "tf_keras_gru_hard": {"Gru": 1},
    "tf_keras_gru_reset_before": {"Gru": 1},
    "tf_keras_gru_step": {"Gru": 1},
    "tf_keras_gru_unrolled": {"Gru": 1},
    "tf_keras_lstm2_unrolled": {"Lstm": 2},
    "tf_keras_lstm_hard": {"Lstm": 1},
    "tf_keras_lstm_unrolled": {"Lstm": 1},
    "tf_keras_simple_unrolled": {"Rnn": 1},
    "tf_keras_repeated": {"Gru": 2},
    "tf_keras_simple2": {"Rnn": 2},
    "unrolled_gru": {"Gru": 1},
    "unrolled_gru2_last": {"Gru": 2},
    "unrolled_lstm2": {"Lstm": 2},
}


def kind(name: str) -> str:
    """The name without its exporter."""
    return name.removesuffix("_legacy").removesuffix("_dynamo")


def is_windowed(name: str) -> bool:
    return any(kind(name).startswith(entry) for entry in WINDOWED)


@pytest.mark.parametrize("name", ALL)
def test_made_model_streams_what_its_framework_computed(name: str) -> None:
    path = MADE / f"{name}.onnx"
    imported = import_onnx(path)
    program = imported.program
    assert program.mode == ("windowed" if is_windowed(name) else "delayed" if kind(name) in DELAYED else "continuous")
    reason = next((text for entry, text in WINDOWED.items() if kind(name).startswith(entry)), "")
    assert reason in program.description.mode_reason
    stored = MADE / f"{kind(name)}.npz"
    for keys in ("", "alt_"):
        if f"{keys}in0" in stored_arrays(stored) and not (keys and program.mode == "windowed"):
            feeds, expected = graph_arrays(path, keys, stored)
            for runner in (ReferenceRunner, edgernn.Runner):
                assert largest_difference(imported, feeds, expected, runner) < 1e-5


@pytest.mark.parametrize("name", [name for name in ALL if kind(name) in CELLS])
def test_recurrence_of_a_made_model_is_its_cell(name: str) -> None:
    kinds = Counter(type(operation).__name__ for operation in edgernn.load(MADE / f"{name}.onnx").operations)
    assert {cell: kinds[cell] for cell in ("Gru", "Lstm", "Rnn") if kinds[cell]} == CELLS[kind(name)]


def test_all_models_are_there_and_small() -> None:
    kinds = {kind(name) for name in ALL}
    assert set(CELLS) <= kinds
    assert all(any(entry.startswith(start) for entry in kinds) for start in WINDOWED)
    assert len(ALL) > 100
    assert sum(path.stat().st_size for path in MADE.iterdir()) < 1_500_000
