"""The comparison of a float program with its int8 program."""

import json

import numpy as np
import pytest
from small_programs import cell_program, recording

from edgernn.quantizer import compare, quantize
from edgernn.reference.runner import ReferenceRunner


def test_report_says_what_the_runners_say() -> None:
    program, X = cell_program("lstm"), recording(3, 200)
    int8 = quantize(program, X, states="s16")
    recordings = [X, X[:50]]
    report = compare(program, int8, recordings)
    expected, actual = (
        np.concatenate([ReferenceRunner(each).run(part) for part in recordings]) for each in (program, int8)
    )
    assert report.frames == 250
    assert report.recordings == 2
    assert report.agreement == np.mean(expected.argmax(axis=1) == actual.argmax(axis=1))
    assert report.largest_difference == pytest.approx(np.abs(expected - actual).max())
    noise = np.sum((expected - actual) ** 2)
    assert report.signal_to_noise_db == pytest.approx(10 * np.log10(np.sum(expected**2) / noise), abs=0.1)
    assert set(report.state_drift) == {"cell.h", "cell.c"}
    assert 0 < max(report.state_drift.values()) < 0.02
    assert not any(report.saturated.values())
    assert report.weight_bytes_after < 0.5 * report.weight_bytes_before
    assert [layer.kind for layer in report.layers] == ["Quantize", "Int8Lstm", "Int8Dense", "Int8Softmax"]
    assert all(layer.signal_to_noise_db > 30 for layer in report.layers)


def test_clipping_is_seen() -> None:
    program, X = cell_program("gru"), recording(3, 100)
    report = compare(program, quantize(program, X), 20 * X)
    assert report.layers[0].kind == "Quantize"
    assert 0.5 < report.layers[0].clipped_share < 1.0


def test_windows_are_compared_one_after_the_other() -> None:
    X = recording(3, 95)
    program = cell_program("gru").with_window(30, 5)
    report = compare(program, quantize(program, X), X)
    assert report.frames == 3


def test_report_as_text_and_json() -> None:
    program, X = cell_program("gru"), recording(3, 50)
    report = compare(program, quantize(program, X), X)
    assert report.float_accuracy is None
    assert json.loads(report.to_json())["frames"] == 50
    table = report.table()
    assert "Int8Gru" in table
    assert f"{report.weight_bytes_before} -> {report.weight_bytes_after} bytes" in table
