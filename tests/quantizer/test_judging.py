"""What `quantize` says of integers that lose too much."""

from __future__ import annotations

import numpy as np
import pytest
from small_programs import cell_program, recording

from edgernn.errors import QuantizationError
from edgernn.quantizer import compare, quantize


def test_the_judgement_names_what_costs_most() -> None:
    program, X = cell_program("gru"), recording(3)
    report = compare(program, quantize(program, X), X)
    snr = report.signal_to_noise_db
    assert np.isfinite(snr)
    assert report.judge(snr - 10.5) is None
    worst = min(report.layers, key=lambda layer: layer.signal_to_noise_db).name
    warning = report.judge(snr - 5)
    assert warning is not None
    assert worst in warning
    with pytest.raises(QuantizationError, match=r"below .* dB; most is lost by .*--keep-float"):
        report.judge(snr + 1)
