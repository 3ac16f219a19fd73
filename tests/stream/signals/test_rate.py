"""The rate of samples, measured from 50 samples and 2 s on."""

import pytest

from edgernn.stream.signals.rate import RateMeter


@pytest.mark.parametrize(("rate_hz", "first_s"), [(100.0, 2.0), (25.0, 2.0), (20.0, 2.5), (10.0, 5.0)])
def test_a_span_has_50_samples_and_2_seconds(rate_hz: float, first_s: float) -> None:
    meter = RateMeter()
    steps = round(first_s * rate_hz)
    for number in range(steps):
        meter.add(1, round(number * 1e9 / rate_hz))
    assert meter.rate_hz is None
    meter.add(1, round(first_s * 1e9))
    assert meter.rate_hz == pytest.approx(rate_hz)
    assert meter.spans == 1


def test_after_an_outage_a_span_begins_anew() -> None:
    meter = RateMeter()
    for second in range(3):
        meter.add(25, second * 1_000_000_000)
    meter.restart()
    for second in range(100, 103):
        meter.add(50, second * 1_000_000_000)
    assert (meter.rate_hz, meter.spans) == (50.0, 2)
