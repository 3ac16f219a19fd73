"""Tables: a recording of raw bytes as numbers, in a .csv or .npz file that other programs read.

The .csv has a column ``time_s`` (arrival, from the first sample on), one for each channel with its unit in brackets,
and ``label`` where there are labels. The .npz has ``samples`` (N, channels), ``time_s`` (N,), ``rate_hz``,
``channel_names``, ``channel_units``, the labelled intervals as ``label_names``, ``interval_start``, ``interval_stop``
(not included) and ``interval_label``, and ``sequence`` and ``device_time_us`` where the board sent them.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import InputError
from edgernn.recordings.decoding import DecodedBlock, decode
from edgernn.recordings.report import DEFAULT_READING, Reading, ReadReport
from edgernn.stream.recording import RecordingReader


class Table(NamedTuple):
    """The samples of a recording.

    Attributes
    ----------
    values : ndarray float64 (N, channels)
    time_s : ndarray float64 (N,)
        Arrival, from that of the first sample on.
    labels : list of str or None
        What was done at each sample.
    sequence, device_time_us : ndarray int64 (N,) or None
    channels, units : tuple of str
        Names of the channels and their units; empty if the board did not send them.
    """

    values: NDArray[np.float64]
    time_s: NDArray[np.float64]
    labels: list[str | None]
    sequence: NDArray[np.int64] | None
    device_time_us: NDArray[np.int64] | None
    channels: tuple[str, ...] = ()
    units: tuple[str, ...] = ()


def read_table(path: Path, reading: Reading = DEFAULT_READING) -> tuple[Table, ReadReport]:
    """Decode a recording; what was read of it, and what was not.

    Raises
    ------
    InputError
        There are no samples in it, or too many of its rows are none.
    FormatError
        It is damaged.
    """
    report = ReadReport(str(path))
    reader = RecordingReader(path)
    try:
        blocks = list(decode(reader.entries(), reader.info.label, counts=report.counts))
    finally:
        reader.close()
    if not blocks:
        raise InputError(f"{path} holds no samples in a format that edgernn knows")
    report.expect_few_dropped(reading)
    arrivals_ns = np.concatenate([np.full(len(block.values), block.monotonic_ns) for block in blocks])  # (N,)
    table = Table(
        np.concatenate([block.values for block in blocks]),
        (arrivals_ns - arrivals_ns[0]) / 1e9,
        [label for block in blocks for label in block.labels],
        _joined(blocks, "sequence"),
        _joined(blocks, "device_time_us"),
        blocks[0].channels,
        blocks[0].units,
    )
    return table, report


def _joined(blocks: Sequence[DecodedBlock], name: str) -> NDArray[np.int64] | None:
    columns = [getattr(block, name) for block in blocks]
    return None if columns[0] is None else np.concatenate(columns)


def write_table(table: Table, path: Path, channels: Sequence[str] = ()) -> None:
    """Write a .csv or .npz file. Channels have the names given, or those of the table, or are called x0, x1 and so on.

    Raises
    ------
    InputError
        The number of names is wrong, or the file ends in something else.
    """
    width = table.values.shape[1]
    names = list(channels) or list(table.channels) or [f"x{k}" for k in range(width)]
    if len(names) != width:
        raise InputError(f"{len(names)} channels are named, a sample has {width} numbers")
    if path.suffix == ".csv":
        units = table.units or ("",) * width
        _write_csv(table, path, [f"{name} [{unit}]" if unit else name for name, unit in zip(names, units, strict=True)])
    elif path.suffix == ".npz":
        np.savez_compressed(path, **_arrays(table, names))
    else:
        raise InputError(f"{path} must end in .csv or .npz")


def _write_csv(table: Table, path: Path, names: Sequence[str]) -> None:
    labelled = any(label is not None for label in table.labels)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["time_s", *names, *(["label"] if labelled else [])])
        for time_s, row, label in zip(table.time_s.tolist(), table.values.tolist(), table.labels, strict=True):
            writer.writerow([f"{time_s:.6f}", *row, *([label or ""] if labelled else [])])


def _arrays(table: Table, names: Sequence[str]) -> dict[str, Any]:
    stretches = [(label, len(list(group))) for label, group in itertools.groupby(table.labels)]
    stops = np.cumsum([length for _, length in stretches])
    label_names = sorted({label for label, _ in stretches if label is not None})
    intervals = [
        (stop - length, stop, label_names.index(label))
        for (label, length), stop in zip(stretches, stops.tolist(), strict=True)
        if label is not None
    ]
    arrays: dict[str, Any] = {
        "samples": table.values.astype(np.float32),
        "time_s": table.time_s,
        "channel_names": np.array(names),
    }
    if any(table.units):
        arrays["channel_units"] = np.array(table.units)
    if table.time_s[-1] > 0:
        arrays["rate_hz"] = (len(table.time_s) - 1) / table.time_s[-1]
    if intervals:
        arrays["label_names"] = np.array(label_names)
        for what, column in zip(("start", "stop", "label"), zip(*intervals, strict=True), strict=True):
            arrays[f"interval_{what}"] = np.array(column, np.int64)
    for name in ("sequence", "device_time_us"):
        if (column := getattr(table, name)) is not None:
            arrays[name] = column
    return arrays
