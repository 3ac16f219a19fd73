"""What int8 costs: trained nets on people they have not seen, float and int8 side by side, as a Markdown table.

Usage: ``python tools/int8_accuracy.py``. The nets and recordings are in tests/models/watch.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

import edgernn
from edgernn.quantizer.settings import Operands

WATCH = Path(__file__).parents[1] / "tests" / "models" / "watch"
CELLS = ("rnn", "gru", "lstm", "fastgrnn", "tcn")
OPERANDS: tuple[Operands, ...] = ("w8a16", "w8a8")
STREAM_STEPS = 100_000  # without a reset
EDGE_STEPS = 10_000  # that count as beginning and end


class Accuracy(NamedTuple):
    """Shares of steps. Agreement: the same label has the largest score."""

    float_accuracy: float
    int8_accuracy: float
    agreement: float
    agreement_at_begin: float
    agreement_at_end: float
    recordings: int


def measure(cell: str, operands: Operands) -> Accuracy:
    """Stream all held-out people, and again until there are `STREAM_STEPS`, through both programs."""
    with np.load(WATCH / "held_out.npz") as arrays:
        samples, starts, stops = arrays["samples"], arrays["interval_start"], arrays["interval_stop"]
        labels = np.full(len(samples), -1)
        for start, stop, label in zip(starts, stops, arrays["interval_label"], strict=True):
            labels[start:stop] = label
    with np.load(WATCH / "calibration.npz") as arrays:
        calibration = np.split(arrays["samples"], arrays["interval_start"][1:])
    program = edgernn.load(WATCH / f"{cell}.onnx")
    stream = np.resize(samples, (STREAM_STEPS, samples.shape[1]))
    labels = np.resize(labels, STREAM_STEPS)
    before = edgernn.Runner(program).run(stream).argmax(axis=1)
    after = edgernn.Runner(edgernn.quantize(program, calibration, operands=operands)).run(stream).argmax(axis=1)
    same, judged = before == after, labels >= 0
    return Accuracy(
        float_accuracy=float(np.mean(before[judged] == labels[judged])),
        int8_accuracy=float(np.mean(after[judged] == labels[judged])),
        agreement=float(same.mean()),
        agreement_at_begin=float(same[:EDGE_STEPS].mean()),
        agreement_at_end=float(same[-EDGE_STEPS:].mean()),
        recordings=len(starts),
    )


def main() -> None:
    """Print the table."""
    print("| net, 32 units | operands | float | int8 | agreement | first 10,000 steps | last 10,000 steps |")
    print("|---|---|---|---|---|---|---|")
    for cell in CELLS:
        for operands in OPERANDS:
            row = measure(cell, operands)
            shares = " | ".join(f"{share:.2%}" for share in row[:5])
            print(f"| {cell} | {operands} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
