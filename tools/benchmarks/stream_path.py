"""From the bytes of a serial port to decisions, in reads of 64 samples: the whole pipeline, and its stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.models import CLASSES, INPUTS, samples
from benchmarks.report import WHOLE_PATH
from benchmarks.timing import Spread, interleave_runs, per_row

READ_SAMPLES = 64
SLICES, READS = 40, 25
SAMPLE_US = 1000
FORMATS = ("csv", "cobs")


def measure_stream(runner: Any) -> dict[str, Spread]:
    """Time of one sample in ns: of the whole way for each format, and of each stage by itself on the same data."""
    from edgernn.program.metadata import DecisionSettings
    from edgernn.stream.decisions import Decider
    from edgernn.stream.formats.csv import Csv
    from edgernn.stream.signals.normalise import Normalise

    mean, std, settings = (0.1,) * INPUTS, (9.81,) * INPUTS, DecisionSettings(smoothing_steps=8)
    feeds = {WHOLE_PATH.format(name): _pipeline_feed(runner.program, mean, std, settings, name) for name in FORMATS}

    parser = Csv(INPUTS, whole_start=True)
    normalise = Normalise(range(INPUTS), mean=mean, std=std)
    decider = Decider(settings, tuple(map(str, range(CLASSES))))
    data = _read("csv", 0)
    values = next(parser.feed(data)).values.copy()  # (samples, inputs) float64
    x = normalise(values)  # (samples, inputs)
    stages: dict[str, tuple[Callable[[Any], Any], Any]] = {
        "parse csv": (lambda data: list(parser.feed(data)), data),
        "normalise": (normalise, values),
        "run": (runner.run, x),
        "decide": (decider.feed, runner.run(x)),
    }
    benchmark_targets = {name: per_row(call, READS, None, READ_SAMPLES) for name, call in feeds.items()}
    benchmark_targets |= {
        name: per_row(call, READS, argument, READ_SAMPLES) for name, (call, argument) in stages.items()
    }
    return interleave_runs(benchmark_targets, SLICES)


def _pipeline_feed(program: Any, mean: tuple[float, ...], std: tuple[float, ...], decision: Any, name: str) -> Any:
    """A function that feeds the next read of a stream to a pipeline."""
    from edgernn.program.metadata import Metadata
    from edgernn.stream.config import StreamSettings
    from edgernn.stream.pipeline import Pipeline

    metadata = Metadata(mean=mean, std=std, decision=decision)
    settings = StreamSettings(continuous=True)
    pipeline = Pipeline(program.with_metadata(metadata), settings, format_name=name, whole_start=True)
    chunks = list(_chunks(name, SLICES * READS))[::-1]
    return lambda _: pipeline.feed(chunks.pop())


def _chunks(name: str, reads: int) -> Iterator[Any]:
    from edgernn.stream.sources.base import Chunk

    for read in range(reads):
        arrival_ns = (read + 1) * READ_SAMPLES * SAMPLE_US * 1000
        yield Chunk(_read(name, read), arrival_ns, arrival_ns, arrival_ns)


def _read(name: str, read: int) -> bytes:
    """One read: lines as a board prints them, with three decimals, CR and LF; or packets of float32."""
    X = 9.81 * samples(READ_SAMPLES)  # (samples, inputs)
    if name == "csv":
        return b"".join(b"%s\r\n" % ",".join(f"{number:.3f}" for number in row).encode() for row in X)
    from edgernn.stream.formats.cobs import encode_packet

    first = read * READ_SAMPLES
    return b"".join(
        encode_packet((first + row) % 65536, (first + row) * SAMPLE_US % 2**32, x, "float32") for row, x in enumerate(X)
    )
