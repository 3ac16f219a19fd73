"""Follows the sender's numbers and clock together: which samples are lost, doubled or late, and when it restarts.

A sample is the next one if its number is, and its time does not go back. Time that goes back is a restart, unless the
very sample came before (doubled), or its number is missing and its time lies where that sample's was (late). Time that
goes forward is never late: a number that goes back is then a wrap if as many samples passed by the clock, else a
restart. Without a clock a number that goes back is a wrap where a counter may wrap, doubled or late as above, or else a
restart. After a reconnect numbers say nothing about losses.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgernn.stream.signals.counter import Counter, agree
from edgernn.stream.signals.device_clock import DeviceClock
from edgernn.stream.signals.gaps import UNKNOWN

DEFAULT_RATE_HZ = 1000.0  # where the rate is unknown
RECENT = 64  # samples in which a doubled one is looked for
MIN_UNUSED = 8  # doubled or late ones in a row that are no restart, whatever the rate is
UNUSED_S = 0.8  # so long a run of them is a restart
STANDS_STILL = 2  # equal numbers in a row, apart from the first, that a counter without a clock does not give by chance
MAX_PAUSE_S = 60.0  # by which time may be ahead of the arrival of samples
TIME_UNKNOWN = -1
NO_PERIODS = 2.5  # so few passed that a jump of the number is damage, or a restart that the next number shows


class Followed(NamedTuple):
    """What a block of numbers says.

    Attributes
    ----------
    keep : list of int or None
        Rows to use; None for all of them.
    missing : list of int or None
        Samples missing before each row to use, or `UNKNOWN`; None where nothing is missing.
    """

    keep: list[int] | None
    missing: list[int] | None


class SequenceTracker:
    """One model of a board's counter and clock.

    Parameters
    ----------
    modulus, time_modulus_us : int, optional
        Where they wrap; found out if not given.

    Attributes
    ----------
    duplicated, late, restarts, unknown_losses : int
        `late` samples were counted as lost before they came, and are taken off `lost`; they are not used. An unknown
        loss is an outage after which the numbers do not tell how many samples are missing.

    Examples
    --------
    >>> tracker = SequenceTracker()
    >>> tracker.follow(np.array([65534, 65535, 2]), np.array([0, 10, 40]))
    Followed(keep=[0, 1, 2], missing=[0, 0, 2])
    >>> tracker.lost
    2
    """

    def __init__(self, modulus: int | None = None, time_modulus_us: int | None = None) -> None:
        self.duplicated = 0
        self.late = 0
        self.restarts = 0
        self.unknown_losses = 0
        self._counter = Counter(modulus)
        self._clock = DeviceClock(time_modulus_us)
        self._begun = False
        self._cut: int | None = None  # the line was cut: what is missing before the next sample
        self._recent: deque[tuple[int, int]] = deque(maxlen=RECENT)  # number and time
        self._unused = 0  # samples in a row
        self._still = 0  # equal numbers in a row
        self._odd: int | None = None  # the last number, if it did not fit the clock

    @property
    def lost(self) -> int:
        """Samples whose numbers did not come."""
        return self._counter.lost

    @property
    def elapsed_us(self) -> int:
        """The sender's time since it began or was restarted."""
        return self._clock.elapsed_us

    def begin(self, modulus: int | None, time_modulus_us: int | None) -> None:
        """The sender's numbers and times are those of another format; the counts go on."""
        lost, self._counter = self._counter.lost, Counter(modulus)
        self._counter.lost = lost
        self._clock = DeviceClock(time_modulus_us)
        self._begun = False

    def announce(self, samples: int) -> list[int]:
        """A board that sends neither numbers nor times has said that it begins: what is missing before `samples`."""
        self.restarts += 1
        return [UNKNOWN if self._cut is None else self._cut, *[0] * (samples - 1)]

    def cut(self, missing: int) -> None:
        """The line was cut and joined again; `missing` is what counts as missing before the next sample."""
        self._cut = missing

    def follow(
        self,
        sequence: NDArray[np.int64] | None,
        device_time_us: NDArray[np.int64] | None,
        *,
        pause_ns: int = 0,
        rate_hz: float | None = None,
        announced: bool = False,
    ) -> Followed:
        """Follow numbers (n,) and times (n,), or the one of them that is sent.

        Parameters
        ----------
        sequence, device_time_us : ndarray or None
        pause_ns : int
            Since the last sample arrived.
        rate_hz : float, optional
            Samples a second that should come.
        announced : bool
            The board has said that it begins, before the first of these samples.
        """
        count = len(sequence if sequence is not None else device_time_us if device_time_us is not None else ())
        numbers = sequence if sequence is not None else np.zeros(count, np.int64)
        times_us = np.full(count, TIME_UNKNOWN, np.int64) if device_time_us is None else device_time_us
        rate_hz = rate_hz or DEFAULT_RATE_HZ
        is_plain = self._begun and self._cut is None and not announced and self._odd is None and not self._unused
        if is_plain and self._is_plain(sequence, device_time_us, pause_ns * rate_hz / 1e9):
            self._take_all(numbers, times_us, sequence is not None, device_time_us is not None)
            return Followed(None, None)
        keep: list[int] = []
        missing: list[int] = []
        for row, (number, time_us) in enumerate(zip(numbers.tolist(), times_us.tolist(), strict=True)):
            found = (
                self._next_time(time_us, pause_ns, announced)
                if sequence is None
                else self._next(number, time_us, pause_ns, rate_hz, announced)
            )
            pause_ns, announced = 0, False  # they stand before the first row
            if found is None:
                self._unused += 1
                continue
            self._unused = 0
            self._recent.append((number, time_us))
            keep.append(row)
            missing.append(found)
        if len(keep) == count and not any(missing):
            return Followed(None, None)
        return Followed(keep, missing)

    def _is_plain(
        self, sequence: NDArray[np.int64] | None, times_us: NDArray[np.int64] | None, pause_samples: float
    ) -> bool:
        """Whether each sample simply follows the one before."""
        counter = self._counter
        if times_us is not None and (np.diff(times_us, prepend=self._clock_last_us) <= 0).any():
            return False
        if sequence is None:
            return True
        if not counter.knows_step or self._still or (counter.modulus and pause_samples > counter.modulus // 2):
            return False
        return bool((np.diff(sequence, prepend=counter.last) == counter.step).all())

    @property
    def _clock_last_us(self) -> int:
        return self._recent[-1][1] if self._recent else 0

    def _take_all(
        self, numbers: NDArray[np.int64], times_us: NDArray[np.int64], is_counted: bool, is_timed: bool
    ) -> None:
        if is_counted:
            self._counter.advance_all(int(numbers[-1]), len(numbers))
        if is_timed:
            self._clock.take_all(times_us)
        self._recent.extend(zip(numbers[-RECENT:].tolist(), times_us[-RECENT:].tolist(), strict=True))

    # ---- one sample

    def _next_time(self, time_us: int, pause_ns: int, announced: bool) -> int:
        """Without a counter no loss is known, only that the sender's clock goes back."""
        if not self._begun:
            return self._begin(0, time_us, 0)
        step_us = self._clock.step_us(time_us, pause_ns)
        if announced or step_us < 0:
            return self._restart(0, time_us)
        if self._cut is not None or self._clock.may_have_wrapped(pause_ns):
            return self._lose_track(0, time_us)
        self._clock.take(time_us, step_us, is_next=True)
        return 0

    def _next(self, number: int, time_us: int, pause_ns: int, rate_hz: float, announced: bool) -> int | None:
        """Samples missing before this one, or None if it is not to be used."""
        if not self._begun:
            return self._begin(number, time_us, 0)
        is_timed = time_us != TIME_UNKNOWN
        step_us = self._clock.step_us(time_us, pause_ns) if is_timed else 0
        odd, self._odd = self._odd, None
        if self._cut is not None:
            went_back = step_us <= 0 if is_timed else number <= self._counter.last
            return self._restart(number, time_us) if announced or went_back else self._lose_track(number, time_us)
        is_confirmed = odd is not None and number == odd + self._counter.step
        if announced or is_confirmed or self._unused >= max(MIN_UNUSED, round(UNUSED_S * rate_hz)):
            return self._restart(number, time_us)
        if is_timed and self._clock.may_have_wrapped(pause_ns):
            return self._lose_track(number, time_us)
        if step_us < 0:
            return self._behind(number, time_us, step_us)
        if step_us > 0:
            return self._timed(number, time_us, step_us, pause_ns)
        return self._untimed(number, time_us, pause_ns * rate_hz / 1e9)

    def _untimed(self, number: int, time_us: int, pause_samples: float) -> int | None:
        """Only the number tells: there is no clock, or it did not move."""
        counter = self._counter
        if number == counter.last:
            return self._stand_still(number, time_us)
        self._still = 0
        if counter.modulus is not None and pause_samples > counter.modulus // 2:
            return self._lose_track(number, time_us)
        if counter.is_after_damage(number):
            counter.undo()
        steps = counter.steps_to(number)
        return self._behind(number, time_us, 0) if steps is None else self._go_on(number, time_us, 0, steps)

    def _timed(self, number: int, time_us: int, step_us: int, pause_ns: int) -> int:
        """Time has gone forward, so the sample is used."""
        counter, periods = self._counter, self._clock.periods(step_us)
        if number == counter.last or self._still:
            self._still = self._still + 1 if number == counter.last else 0
            return self._follow(number, time_us, step_us)
        if counter.numbers_to(number) == counter.step and not self._has_wrapped(periods, pause_ns):
            return self._go_on(number, time_us, step_us, 1.0)
        steps = counter.steps_to(number, periods)
        if steps is None:
            return self._contradict(number, time_us, step_us, periods)
        is_round = counter.modulus is not None and steps * counter.step >= counter.modulus  # once or more
        if is_round and step_us / 1e6 > pause_ns / 1e9 + MAX_PAUSE_S:
            return self._restart(number, time_us)
        if periods is None or steps <= periods or agree(steps, periods):
            return self._go_on(number, time_us, step_us, steps)
        if periods > NO_PERIODS and steps <= 2 * periods + MIN_UNUSED:
            return self._go_on(number, time_us, step_us, steps)
        return self._contradict(number, time_us, step_us, periods)

    def _contradict(self, number: int, time_us: int, step_us: int, periods: float | None) -> int:
        """Number and clock do not go together: a restart if time passed; else the next number will tell."""
        counter = self._counter
        if periods is None or periods > NO_PERIODS:
            return self._restart(number, time_us)
        if number < counter.last and number <= 1:
            counter.first = -1  # it wraps at no usual width
            return self._follow(number, time_us, step_us)
        return self._doubt(number, time_us, step_us, max(1, round(periods)))

    def _doubt(self, number: int, time_us: int, step_us: int, steps: int) -> int:
        """A number that may be damaged: the sample is used, and the next one tells whether it was right."""
        self._odd = number
        expected = self._counter.last + self._counter.step * steps
        modulus = self._counter.modulus
        return self._follow(expected if modulus is None else expected % modulus, time_us, step_us)

    def _follow(self, number: int, time_us: int, step_us: int) -> int:
        self._counter.follow(number)
        if time_us != TIME_UNKNOWN:
            self._clock.take(time_us, step_us, is_next=False)
        return 0

    def _has_wrapped(self, periods: float | None, pause_ns: int) -> bool:
        """Whether the counter may have come round once or more while nothing came."""
        counter = self._counter
        if counter.modulus is None or periods is None or not self._clock.period_us:
            return False
        span = counter.modulus / counter.step
        return periods > span / 2 and pause_ns / 1e3 > self._clock.period_us * span / 2

    def _behind(self, number: int, time_us: int, step_us: int) -> int | None:
        """The number, or the time, goes back: a sample that came before, a late one, or a restart."""
        counter = self._counter
        if number <= counter.first:
            return self._restart(number, time_us)
        back = counter.steps_back_to(number)
        if back and self._lies_back(back, step_us):
            if back <= RECENT and (number, time_us) in self._recent:
                self.duplicated += 1
                return None
            if counter.is_missing(back):
                counter.found(back)
                self.late += 1
                return None
        if step_us < 0 or number <= 1:
            return self._restart(number, time_us)
        return self._doubt(number, time_us, step_us, 1)

    def _lies_back(self, back: int, step_us: int) -> bool:
        """Whether a time that goes back is that of the sample so many steps back."""
        periods = self._clock.periods(step_us)
        return step_us == 0 or (step_us > -1_000_000 if periods is None else abs(back + periods) <= max(2, 0.1 * back))

    def _stand_still(self, number: int, time_us: int) -> int | None:
        """The same number again: the sample came twice, or the counter does not count."""
        self._still += 1
        if time_us == TIME_UNKNOWN and self._still > STANDS_STILL:
            if self._still == STANDS_STILL + 1:
                self.duplicated -= STANDS_STILL
            self._counter.follow(number)
            return 0
        self.duplicated += 1
        return None

    # ---- what becomes of it

    def _go_on(self, number: int, time_us: int, step_us: int, steps: float) -> int:
        missing = self._counter.advance(number, steps)
        if time_us != TIME_UNKNOWN:
            self._clock.take(time_us, step_us, is_next=missing == 0 and self._counter.knows_step)
        return missing

    def _begin(self, number: int, time_us: int, missing: int) -> int:
        self._begun = True
        self._cut = self._odd = None
        self._still = self._unused = 0
        self._recent.clear()
        self._counter.begin(number)
        self._clock.begin(time_us)
        return missing

    def _restart(self, number: int, time_us: int) -> int:
        self.restarts += 1
        return self._begin(number, time_us, UNKNOWN if self._cut is None else self._cut)

    def _lose_track(self, number: int, time_us: int) -> int:
        self.unknown_losses += 1
        return self._begin(number, time_us, UNKNOWN if self._cut is None else self._cut)
