"""From the bytes of a serial port to decisions, in reads of 64 samples: parse, normalise, run, decide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.models import CLASSES, INPUTS, samples
from benchmarks.report import WHOLE_PATH
from benchmarks.timing import Spread, interleave_runs, per_row

READ_SAMPLES = 64
TURNS, READS = 40, 50


def measure_stream(runner: Any) -> dict[str, Spread]:
    """Time of one sample in ns: of the whole path, and of each stage by itself on the same data."""
    from edgernn.decisions import Decider
    from edgernn.formats.csv import Csv
    from edgernn.metadata import DecisionSettings
    from edgernn.signals.normalise import Normalise

    parser = Csv(INPUTS, whole_start=True)
    normalise = Normalise(range(INPUTS), mean=[0.1] * INPUTS, std=[1.1] * INPUTS)
    decider = Decider(DecisionSettings(smoothing_steps=8), tuple(map(str, range(CLASSES))))

    def whole(data: bytes) -> None:
        for block in parser.feed(data):
            decider.feed(runner.run(normalise(block.values)))

    data = _csv_lines()
    values = next(parser.feed(data)).values.copy()  # (samples, inputs) float64
    x = normalise(values)  # (samples, inputs)
    scores = runner.run(x)  # (samples, classes)
    stages: dict[str, tuple[Callable[[Any], Any], Any]] = {
        WHOLE_PATH: (whole, data),
        "parse csv": (lambda data: list(parser.feed(data)), data),
        "normalise": (normalise, values),
        "run": (runner.run, x),
        "decide": (decider.feed, scores),
    }
    return interleave_runs(
        {name: per_row(call, READS, argument, READ_SAMPLES) for name, (call, argument) in stages.items()}, TURNS
    )


def _csv_lines() -> bytes:
    """One read as a board prints it: three decimals, commas, CR and LF."""
    lines = (",".join(f"{number:.3f}" for number in row) for row in 9.81 * samples(READ_SAMPLES))
    return "".join(f"{line}\r\n" for line in lines).encode()
