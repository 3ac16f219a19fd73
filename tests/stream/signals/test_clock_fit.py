"""The fit of the sender's clock: drift through delays, wraps, late samples and restarts."""

import numpy as np
import pytest

from edgernn.stream.signals.clock_fit import SPANS, TIMES_US, ClockFit

RATE_HZ = 100


def feed(fit: ClockFit, seconds: int, drift_ppm: float, begin_us: int = 0, delay_s: float = 0.004) -> np.ndarray:
    """Arrivals (ns) of samples with random delays, mostly small and now and then very long."""
    random = np.random.default_rng(6)
    taken_s = np.arange(seconds * RATE_HZ) / RATE_HZ  # on this machine's clock
    delays_s = 0.001 + random.exponential(delay_s, taken_s.size) + 0.5 * (random.random(taken_s.size) < 0.01)
    arrivals_ns = np.maximum.accumulate(np.round((taken_s + delays_s) * 1e9).astype(np.int64))
    device_us = begin_us + np.round(taken_s * 1e6 * (1 + drift_ppm * 1e-6)).astype(np.int64)
    for time_us, arrival_ns in zip((device_us % TIMES_US).tolist(), arrivals_ns.tolist(), strict=True):
        fit.add(time_us, arrival_ns)
    return arrivals_ns


@pytest.mark.parametrize("drift_ppm", [-250.0, 0.0, 40.0, 1000.0])
@pytest.mark.parametrize("begin_us", [0, TIMES_US - 20_000_000])
def test_drift_is_found_through_random_delays_and_a_wrap(drift_ppm: float, begin_us: int) -> None:
    fit = ClockFit()
    feed(fit, 2 * SPANS, drift_ppm, begin_us)
    assert fit.drift_ppm == pytest.approx(drift_ppm, abs=5)


def test_drift_of_long_ago_is_forgotten() -> None:
    """A board that became warm: its clock was 300 ppm fast for five minutes."""
    fit, device_us = ClockFit(), 0.0
    for second in range(400):
        fit.add(round(device_us) % TIMES_US, second * 1_000_000_000)
        device_us += 1e6 * (1 + (300e-6 if second < 300 else 20e-6))
    assert fit.drift_ppm == pytest.approx(20, abs=1)


def test_the_time_of_a_sample_is_that_of_the_earliest_arrivals() -> None:
    fit = ClockFit()
    feed(fit, 100, 100.0)
    assert fit.host_ns == pytest.approx((100 - 1 / RATE_HZ + 0.001) * 1e9, abs=1e6)


def test_too_little_gives_no_fit_and_a_restart_forgets() -> None:
    fit = ClockFit()
    feed(fit, 5, 0.0)
    assert fit.drift_ppm is None
    assert fit.host_ns is None
    feed(fit, 20, 0.0, begin_us=10_000_000)
    assert fit.drift_ppm is not None
    fit.restart()
    assert fit.drift_ppm is None


def test_late_samples_do_not_count() -> None:
    one, other = ClockFit(), ClockFit()
    feed(one, 20, 50.0)
    feed(other, 20, 50.0)
    other.add(3_000_000, 1)
    assert other.drift_ppm == one.drift_ppm
    assert other.host_ns == one.host_ns


def test_samples_that_came_all_at_once_tell_no_drift() -> None:
    fit = ClockFit()
    for second in range(20):
        fit.add(second * 1_000_000, arrival_ns=5)
    assert (fit.drift_ppm, fit.host_ns) == (None, None)
