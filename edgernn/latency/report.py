"""The report of a profile as one page of HTML: no scripts, nothing from the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
import numpy as np

from edgernn.html_report import Bar, Series, bars, heading, line_plot, page, paragraph, table
from edgernn.latency.budget import Budget
from edgernn.latency.histogram import tail_position
from edgernn.latency.measurement import Measurement
from edgernn.latency.operations import OperationTimes
from edgernn.latency.recorder import LatencyRecorder
from edgernn.latency.text import (
    Rows,
    budget_rows,
    budget_verdict,
    gain_rows,
    operation_verdict,
    resource_rows,
    response_rows,
    service_rows,
    time_text,
)
from edgernn.latency.verified import Verified
from edgernn.stream.realtime import Grant

PERCENTS = (0.0, 90.0, 99.0, 99.9, 99.99, 99.999)
CURVE_POINTS = 200


class Profile(msgspec.Struct, frozen=True):
    """All that a profile found.

    Attributes
    ----------
    model : str
        What was profiled.
    machine : dict of str to str
    measurements : tuple of Measurement
    grants : tuple of Grant
        What came of asking for real time.
    operations : OperationTimes or None
    budget : Budget or None
    verified : tuple of Verified
        A step on each chip that an export was verified on.
    """

    model: str
    machine: dict[str, str]
    measurements: tuple[Measurement, ...]
    grants: tuple[Grant, ...] = ()
    operations: OperationTimes | None = None
    budget: Budget | None = None
    verified: tuple[Verified, ...] = ()


def html_report(profile: Profile, recorders: Mapping[str, LatencyRecorder]) -> str:
    """The page. `recorders` holds what the measurements were made of, by their names."""
    return page(f"How late is an answer? {profile.model}", list(_parts(profile, recorders)))


def _parts(profile: Profile, recorders: Mapping[str, LatencyRecorder]) -> Iterator[str]:
    yield table([("machine", ""), *profile.machine.items()])
    yield heading("Response: from when a sample was due to its answer")
    yield table(_unbroken(response_rows(profile.measurements)))
    steps = max([measurement.steps for measurement in profile.measurements], default=1)
    shown = [percent for percent in PERCENTS if percent <= 90 or 1 - percent / 100 > 0.1 / steps]
    marks = [(tail_position(percent), f"{percent:g} %") for percent in shown]
    yield line_plot(_percentile_curves(recorders), "percentile", "µs", log_y=True, x_marks=marks)
    yield heading("Service: the work itself")
    yield table(_unbroken(service_rows(profile.measurements)))
    yield heading("The largest response of each moment")
    yield line_plot([_over_time(name, recorder) for name, recorder in recorders.items()], "seconds", "µs", log_y=True)
    yield heading("Meanwhile")
    yield table(resource_rows(profile.measurements))
    if profile.grants:
        yield heading("Real time")
        grants = [(part, "granted" if granted else "refused", detail) for part, granted, detail in profile.grants]
        yield table([("asked for", "", ""), *grants])
        yield table(_unbroken(gain_rows(profile.measurements)))
    if profile.operations is not None:
        yield heading("Where the time of a step goes")
        parts = profile.operations.operations
        yield bars([Bar(part.name, part.time_ns, f"{part.time_ns:.0f} ns, {part.share:.0%}") for part in parts])
        yield paragraph(operation_verdict(profile.operations))
    if profile.verified:
        yield heading("A step on other chips")
        yield table([("chip", "a step", "", ""), *(chip.row() for chip in profile.verified)])
    if profile.budget is not None:
        yield heading("From the movement to the event")
        yield bars([Bar(part.name, part.typical_ns, time_text(part.typical_ns)) for part in profile.budget.parts])
        yield table(budget_rows(profile.budget))
        yield paragraph(budget_verdict(profile.budget))


def _unbroken(rows: Rows) -> Rows:
    """The same rows, with numbers and their units on one line."""
    return [(row[0], *(str(cell).replace(" ", "\u00a0") for cell in row[1:])) for row in rows]


def _percentile_curves(recorders: Mapping[str, LatencyRecorder]) -> list[Series]:
    """Each benchmark target's response by percentile, as far as there are samples for it."""
    curves = []
    for name, recorder in recorders.items():
        histogram = recorder.response
        end = min(np.log10(max(histogram.total, 2)), tail_position(PERCENTS[-1]))
        nines = np.linspace(0.0, end, CURVE_POINTS).tolist()
        points = [(nine, histogram.percentile(100 * (1 - 10.0**-nine)) / 1000) for nine in nines]
        curves.append(Series(name, points))
    return curves


def _over_time(name: str, recorder: LatencyRecorder) -> Series:
    slices = recorder.slices
    seen = np.flatnonzero(slices.largest_ns).tolist()
    return Series(name, [(k * slices.slice_ns / 1e9, slices.largest_ns[k] / 1000) for k in seen])
