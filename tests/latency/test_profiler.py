"""What the profiler says is true: known delays, stalls and pauses, on a clock of the test's own."""

import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from stepped_clock import SteppedClock
from stream_models import larger_channel

from edgernn.latency.measurement import Measurement
from edgernn.latency.pacing import Pacing
from edgernn.latency.profiler import profile
from edgernn.latency.recorder import BLOCK_STEPS, SLICES, LatencyRecorder, Slices
from edgernn.latency.streams import StreamTarget
from edgernn.latency.targets import StepTarget
from edgernn.runtime.runner import Runner

MS = 1_000_000


def taking(clock: SteppedClock, *times_ns: int) -> StepTarget:
    """Takes these times interleaved."""
    return StepTarget("step", clock.pass_ns, times_ns)


def test_a_rare_delay_is_at_its_percentile() -> None:
    clock = SteppedClock()
    steps = [1_000] * 999 + [51_000]  # 50 µs more in every 1,000th
    (recorder,) = profile([taking(clock, *steps)], steps=20_000, period_ns=MS, clock=clock)
    found = Measurement.of("step", recorder)
    for spread in (found.response, found.service):
        assert (spread.min_ns, spread.p50_ns, spread.p99_ns, spread.p99_9_ns) == (1_000, 1_000, 1_000, 1_000)
        assert spread.p99_99_ns == spread.max_ns == 51_000
    assert found.steps == 20_000
    assert found.deadline_misses == found.late_starts == 0
    assert found.duty_cycle == pytest.approx(1_050 / MS, rel=0.01)


def test_a_stall_makes_every_sample_late_that_was_due_in_it() -> None:
    clock = SteppedClock()
    steps = [0] * 500 + [20 * MS] + [0] * 499
    (recorder,) = profile([taking(clock, *steps)], steps=1000, period_ns=MS, deadline_ns=MS - 1, clock=clock)
    assert recorder.misses == 20
    assert recorder.response.counts.sum() - recorder.response.counts[0] == 20
    assert (recorder.response.largest, recorder.service.largest) == (20 * MS, 20 * MS)
    assert recorder.service.percentile(99.8) == 0  # one step worked long, the others only came late
    assert recorder.late_starts == 18  # the first two of the late began before or when the next was due


class StallingRunner:
    """Stops for a while at its 300th block."""

    def __init__(self, clock: SteppedClock) -> None:
        self._runner, self._clock, self._blocks = Runner(larger_channel()), clock, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def run_into(self, *arguments: Any) -> int:
        self._blocks += 1
        if self._blocks == 300:
            self._clock.pass_ns(20 * MS)
        return self._runner.run_into(*arguments)


def test_a_stalled_stream_gives_twenty_late_samples() -> None:
    clock = SteppedClock()
    benchmark_target = StreamTarget(larger_channel(), clock, StallingRunner(clock))
    (recorder,) = profile([benchmark_target], steps=1000, period_ns=MS, deadline_ns=MS - 1, clock=clock)
    benchmark_target.close()
    assert recorder.response.total == 1000
    assert recorder.misses == 20
    assert recorder.response.largest == 20 * MS


@pytest.fixture
def slow_collector() -> Iterator[SteppedClock]:
    """A clock on which every garbage collection takes 3 ms."""
    clock = SteppedClock()

    def called(phase: str, info: dict[str, int]) -> None:
        if phase == "stop":
            clock.pass_ns(3 * MS)

    gc.disable()  # only the test's own collections
    gc.callbacks.append(called)
    yield clock
    gc.callbacks.remove(called)
    gc.enable()


def test_pauses_of_the_collector_are_attributed(slow_collector: SteppedClock) -> None:
    clock = slow_collector

    def step(collects: bool) -> None:
        clock.pass_ns(10_000)
        if collects:
            gc.collect()

    samples = [False] * 999 + [True]
    benchmark_target = StepTarget("step", step, samples)
    (recorder,) = profile([benchmark_target], steps=3000, period_ns=5 * MS, clock=clock)
    pauses = recorder.garbage.pauses
    assert (pauses.count, pauses.total_ns, pauses.longest_ns) == (3, 9 * MS, 3 * MS)
    assert pauses.steps_hit == 3
    assert pauses.largest_hit_ns == 3 * MS + 10_000
    assert pauses.largest_other_ns == 10_000
    assert recorder.worst is not None
    assert (np.diff(recorder.worst.pauses_ns) == 3 * MS).all()


def test_a_pause_hits_all_steps_that_wait_for_its_end(slow_collector: SteppedClock) -> None:
    benchmark_target = StepTarget("step", lambda collects: collects and gc.collect(), [False] * 99 + [True])
    (recorder,) = profile([benchmark_target], steps=150, period_ns=MS, clock=slow_collector)
    assert recorder.garbage.pauses.steps_hit == 3
    assert recorder.misses == 2  # the third is as late as the deadline allows


def test_targets_run_interleaved_on_the_same_schedule() -> None:
    clock, order = SteppedClock(), []
    benchmark_targets = [StepTarget(name, lambda x, name=name: order.append(name), [0]) for name in "ab"]
    recorders = profile(benchmark_targets, steps=2500, period_ns=MS, clock=clock)
    assert [recorder.response.total for recorder in recorders] == [2500, 2500]
    slices = [name for k, name in enumerate(order) if k == 0 or order[k - 1] != name]
    assert slices == list("ababab")


def test_control_c_leaves_what_there_is() -> None:
    clock, left, progress = SteppedClock(), [1600], []

    def step(x: int) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    (recorder,) = profile(
        [StepTarget("step", step, [0])], 5000, MS, clock=clock, on_progress=lambda *done: progress.append(done)
    )
    assert recorder.response.total == 1600 - 1 - 2 * 50  # but for the interrupted one and those that settle
    assert recorder.elapsed_ns >= recorder.response.total * MS
    assert progress == [(0, 5000), (1000, 5000)]


@pytest.mark.parametrize("busy", [False, True])
def test_samples_are_taken_when_they_are_due(busy: bool) -> None:
    clock = SteppedClock(look_ns=100)
    schedule = Pacing(clock, MS, busy=busy)
    for k in range(5):
        due_ns = schedule.wait(k)
        assert due_ns == schedule.begin_ns + k * MS
        assert due_ns <= clock.now_ns <= due_ns + 200
    clock.pass_ns(10 * MS)
    before_ns = clock.now_ns
    schedule.wait(6)
    assert clock.now_ns <= before_ns + 200  # late: no wait


def test_the_profilers_own_work_makes_no_sample_late() -> None:
    clock = SteppedClock()
    schedule = Pacing(clock, MS)
    since_ns = schedule.wait(3)
    clock.pass_ns(5 * MS)
    schedule.hold(since_ns, 4)
    assert schedule.held_ns == 4 * MS
    assert schedule.due_ns(4) == clock.now_ns
    schedule.hold(clock.now_ns, 5)
    assert schedule.held_ns == 4 * MS


def test_memory_does_not_grow_and_nothing_is_lost_between_blocks() -> None:
    clock = SteppedClock()
    times_ns = (np.arange(BLOCK_STEPS * 3 + 17) % 1000).tolist()
    (recorder,) = profile([taking(clock, *times_ns)], len(times_ns), 200_000, clock=clock)
    assert recorder.service.total == len(times_ns)
    assert recorder.service.mean == pytest.approx(np.mean(times_ns))
    assert recorder.worst is not None
    assert len(recorder.worst.due_ns) <= BLOCK_STEPS


def test_slices_keep_the_largest_of_each_moment_however_long_it_goes() -> None:
    slices = Slices()
    at_ns = np.arange(0, 10_000 * MS, MS)
    response_ns = np.full(len(at_ns), 5)
    response_ns[7777] = 900
    for part in np.array_split(np.arange(len(at_ns)), 9):
        slices.add(at_ns[part], response_ns[part])
    assert slices.slice_ns == 32 * MS
    assert len(slices.largest_ns) == SLICES
    assert np.flatnonzero(slices.largest_ns == 900).tolist() == [7777 // 32]
    assert np.count_nonzero(slices.largest_ns) == -(-10_000 // 32)


def test_misses_are_counted_against_the_deadline() -> None:
    clock = SteppedClock()
    recorder = LatencyRecorder(clock, MS, deadline_ns=100)
    recorder.begin_slice()
    for response_ns in (50, 100, 101, 5000):
        recorder.add(clock.now_ns, clock.now_ns, clock.now_ns + response_ns)
    recorder.end_slice(held_ns=0)
    assert recorder.misses == 2
