"""Streams of models beyond a recurrence: lines of text go in, what comes out is what their framework gave."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sequence_models import stored_arrays
from stream_models import ManualClock

import edgernn
from edgernn.stream.sources.memory import MemorySource
from edgernn.stream.sources.virtual_port import VirtualPort
from edgernn.stream.stream import Stream, open_stream

MADE = Path(__file__).parents[1] / "models" / "made"
# an event whenever another score is the largest
EVERY = {"smoothing_steps": 1, "threshold": 1e-9, "release": 1e-9, "minimum_steps": 1, "hold_off_steps": 0}
PATIENT = pytest.mark.timeout(60)


def stored(name: str, key: str) -> NDArray[np.float32]:
    return np.asarray(stored_arrays(MADE / f"{name}.npz")[key])


def csv_lines(X: NDArray[np.generic]) -> bytes:
    """Samples (T, n) as a board sends them."""
    return "".join(",".join(repr(number) for number in row) + "\n" for row in X.tolist()).encode()


def played(program: edgernn.Program, data: bytes, **settings: object) -> Stream:
    source = MemorySource(ManualClock(), live=False)
    source.write(data)
    source.end()
    return open_stream(program, source, clock=source.clock, **settings)


@PATIENT
def test_character_model_says_the_next_character_after_each() -> None:
    """Ids come as numbers in lines; each event is a likelier next character, with PyTorch's probability."""
    program = edgernn.load(MADE / "characters_gru_legacy.onnx")
    assert [(port.name, port.shape, port.dtype) for port in program.inputs] == [("ids", (1,), "int32")]
    ids, expected = stored("characters_gru", "in0")[0], stored("characters_gru", "out0")[0]
    alphabet = tuple("abcdefg")
    with played(program, csv_lines(ids[:, np.newaxis]), labels=alphabet, decision=EVERY) as stream:
        events = list(stream)
    best = expected.argmax(1)
    assert [event.label for event in events] == [alphabet[k] for i, k in enumerate(best) if i == 0 or k != best[i - 1]]
    for event in events:
        assert event.score == pytest.approx(
            expected[event.step].max(), abs=2**-15
        )  # scores are decided on in steps of that size


@PATIENT
def test_id_out_of_range_is_not_a_character() -> None:
    program = edgernn.load(MADE / "characters_gru_legacy.onnx")
    with pytest.raises(edgernn.InputError, match=r"ids.*7"):
        edgernn.Runner(program).step([7])


@PATIENT
def test_encoder_decoder_with_attention_on_a_port() -> None:
    """A board sends samples; each window of them is translated into a forecast, which is PyTorch's."""
    program = edgernn.load(MADE / "decoder_attending_legacy.onnx")
    X = stored("decoder_attending", "in0")[0]
    runner = edgernn.Runner(program)
    forecasts = []
    with VirtualPort() as port, io.FileIO(port.device.rpartition(":")[2], "rb") as board:
        port.write(csv_lines(X))
        lines = [board.readline() for _ in range(len(X))]
    for line in lines:
        y = runner.step([float(number) for number in line.split(b",")])
        if y is not None:
            forecasts.append(y.copy())
    assert len(forecasts) == 1
    np.testing.assert_allclose(forecasts[0].reshape(4, 2), stored("decoder_attending", "out0")[0], atol=1e-5)


@PATIENT
def test_causal_transformer_on_lines_of_text() -> None:
    """Each sample attends to the last four; `--logits` makes probabilities of PyTorch's scores."""
    program = edgernn.load(MADE / "attention_band_heads_legacy.onnx")
    X, expected = stored("attention_band_heads", "alt_in0")[0], stored("attention_band_heads", "alt_out0")[0]
    with played(program, csv_lines(X), logits=True, decision=EVERY) as stream:
        events = list(stream)
    expected = np.exp(expected) / np.exp(expected).sum(1, keepdims=True)
    best = expected.argmax(1)
    assert [event.label for event in events] == [str(k) for i, k in enumerate(best) if i == 0 or k != best[i - 1]]
    for event in events:
        assert event.score == pytest.approx(
            expected[event.step].max(), abs=2**-15
        )  # scores are decided on in steps of that size


@PATIENT
def test_ids_of_two_tables_have_ranges_of_their_own() -> None:
    runner = edgernn.Runner(edgernn.load(MADE / "ids_of_two_tables_legacy.onnx"))
    runner.step([6, 2])
    for ids in ([7, 0], [0, 3]):
        with pytest.raises(edgernn.InputError, match=f"ids holds the id {max(ids)}; ids go from 0 to {max(ids) - 1}"):
            runner.step(ids)
    with pytest.raises(edgernn.InputError, match="the id 3"):
        runner.run(np.array([[6, 2], [6, 3]], np.int32))
