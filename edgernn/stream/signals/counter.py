"""The sender's counter: by how much it counts, where it wraps, and which of its numbers are still missing."""

from __future__ import annotations

from collections import deque
from math import gcd

WIDTHS = (1 << 8, 1 << 16, 1 << 32)  # of counters in bits
MODULI = tuple(sorted((*WIDTHS, *(10**digits for digits in range(2, 10)))))
WINDOW = 16  # numbers lost around a wrap that is not known yet: at most this part of the modulus
MAX_RANGES = 256  # of missing numbers that are remembered
MIN_DAMAGE = 16  # places by which a damaged number is ahead; fewer may be lost samples
MAX_JITTER = 2.0  # samples by which the clock may be off where it alone tells that a counter came round
LEARNING_STEPS = 3  # from which the step of the counter is found


class Counter:
    """Numbers of samples, as places: 0 for the first, one more for each that was sent after it.

    Parameters
    ----------
    modulus : int, optional
        Where it wraps, of a counter that counts by 1. If it is not given, that and its step are learnt.

    Attributes
    ----------
    lost : int
        Numbers that did not come.
    modulus : int or None
        None while it is not known.
    last : int
        The newest number.
    place : int
        Its place.

    Examples
    --------
    >>> counter = Counter()
    >>> counter.begin(254)
    >>> [counter.advance(number, counter.steps_to(number)) for number in (255, 0, 3)]
    [0, 0, 2]
    >>> counter.modulus, counter.lost, counter.steps_back_to(1)
    (256, 2, 2)
    """

    def __init__(self, modulus: int | None = None) -> None:
        self.modulus = self._given_modulus = modulus
        self._base = 0  # the first number after a wrap
        self.lost = 0
        self.last = self.place = self.first = 0
        self._max = 0
        self._step = None if modulus is None else 1  # between two numbers in a row, once it is known
        self._first_steps: list[int] = []
        self._advanced = 0  # sum of the steps since `begin`, in numbers
        self._before = 0, 0, 0, 0  # number, place, lost and the sum of the steps before the last `advance`
        self._missing: deque[tuple[int, int]] = deque(maxlen=MAX_RANGES)  # places from, to before

    @property
    def step(self) -> int:
        """By how much it counts; 1 while that is not known."""
        return self._step or 1

    @property
    def knows_step(self) -> bool:
        """Whether its step is known."""
        return self._step is not None

    def begin(self, number: int) -> None:
        """Start over at a sample of this number; step and modulus are still the same."""
        self.last = self.first = self._max = number
        self.place = self._advanced = 0
        self._before = number, 0, self.lost, 0
        self._first_steps.clear()
        self._missing.clear()
        self._expect_width(number)

    def numbers_to(self, number: int) -> int:
        """By how much it went on to `number`, modulo the modulus where that is known; else it may be negative."""
        ahead = number - self.last
        return ahead if self.modulus is None else ahead % self._span

    def steps_to(self, number: int, wanted: float | None = None) -> float | None:
        """Samples from the last to `number`, over a wrap if need be; None if it lies behind.

        `wanted` samples passed by the clock, where there is one: of several answers the one closest to it is given, and
        a wrap at an unknown modulus is one only if it agrees.
        """
        ahead = number - self.last
        if self.modulus is not None:
            ahead %= self._span
            if wanted is not None:
                turns = round((wanted * self.step - ahead) / self._span)
                return (ahead + self._span * max(0, turns)) / self.step
            return ahead / self.step if ahead <= self._span // 2 else None
        if ahead >= 0:
            return ahead / self.step if wanted is None else self._over_rounds(ahead, wanted)
        wraps = [(ahead + span) / self.step for span in self._spans(number)]
        if wanted is not None:
            steps = min(wraps, key=lambda steps: abs(steps - wanted), default=0.0)
            steps = steps if agree(steps, wanted) else self._over_rounds(ahead, wanted)
            return steps if steps > 0 else None
        likely = (
            steps
            for steps, span in zip(wraps, self._spans(number), strict=True)
            if steps * self.step <= max(self.step, span // WINDOW)
        )
        return next(likely, None)

    def _over_rounds(self, ahead: int, wanted: float) -> float:
        """Samples over so many numbers, or over rounds of an unknown width too, where only those fit the clock."""
        steps = ahead / self.step
        if agree(steps, wanted):
            return steps
        for span in (width for width in WIDTHS if width > max(self._max, self.last + ahead)):
            rounds = round((wanted * self.step - ahead) / span)
            if rounds > 0 and abs(steps + rounds * span / self.step - wanted) <= MAX_JITTER:
                return steps + rounds * span / self.step
        return steps

    def steps_back_to(self, number: int) -> int:
        """Samples from `number` to the last, which came after it; 0 if there cannot be such a number."""
        back = self.last - number
        back = back if self.modulus is None else back % self._span
        return back // self.step if back > 0 and back % self.step == 0 else 0

    def is_missing(self, back: int) -> bool:
        """Whether the number so many steps back was lost."""
        place = self.place - back
        return any(begin <= place < end for begin, end in self._missing)

    def found(self, back: int) -> None:
        """The number so many steps back, which was missing, has come late."""
        place = self.place - back
        for index, (begin, end) in enumerate(self._missing):
            if begin <= place < end:
                del self._missing[index]
                for part in ((begin, place), (place + 1, end)):
                    if part[0] < part[1]:
                        self._missing.append(part)
                self.lost -= 1
                return

    def advance(self, number: int, steps: float) -> int:
        """Go on to `number`, so many steps ahead; how many samples are missing before it."""
        ahead = round(steps * self.step)
        if number < self.last:
            self.first = -1  # there is no number before all others
            if self.modulus is None:
                self._learn_modulus(ahead - (number - self.last))
        self._before = self.last, self.place, self.lost, self._advanced
        self._take(number)
        missing = self._missing_of(ahead)
        self.lost += missing
        self.place += missing + 1
        if missing:
            self._missing.append((self.place - missing, self.place))
        return missing

    def advance_all(self, number: int, samples: int) -> None:
        """Go on to `number`, over so many samples in a row without a gap."""
        self._take(number)
        self.place += samples
        self._advanced += samples * self.step

    def follow(self, number: int) -> None:
        """Take a number as that of the next sample, whatever it is."""
        self._take(number)
        self.place += 1

    def is_after_damage(self, number: int) -> bool:
        """Whether `number` goes on from the one before the last, which was too far ahead."""
        before, place, _, _ = self._before
        return number == before + 2 * self.step and self.place - place > MIN_DAMAGE

    def undo(self) -> None:
        """The last number was damaged: it was the one in the row."""
        before, place, self.lost, self._advanced = self._before
        self.last, self.place = before + self.step, place + 1
        self._missing.pop()

    @property
    def _span(self) -> int:
        return 1 if self.modulus is None else self.modulus - self._base

    def _spans(self, number: int) -> list[int]:
        """How many numbers a counter that wraps between the last one and this may have, the likeliest first."""
        whole = [modulus for modulus in MODULI if modulus > self._max]
        from_one = [modulus - 1 for modulus in whole] if number > 0 else []
        return sorted(whole + from_one, key=lambda span: (number - self.last + span != self.step, span not in MODULI))

    def _learn_modulus(self, span: int) -> None:
        """It went over so many numbers more than it seemed to, which may be several rounds of a width in bits."""
        width = next((width for width in WIDTHS if width > self._max and span % width == 0), None)
        self._base = 0 if width or span in MODULI else 1
        self.modulus = width or span + self._base

    def _take(self, number: int) -> None:
        self.last = number
        self._max = max(self._max, number)
        self._expect_width(number)

    def _expect_width(self, number: int) -> None:
        """A number that is too large shows that what seemed to be a wrap was none."""
        if self.modulus is not None and number >= self.modulus:
            self.modulus, self._base = self._given_modulus, 0

    def _missing_of(self, ahead: int) -> int:
        """Samples missing before one so many numbers ahead; corrects `lost` where the step turns out smaller."""
        if self._step is None:
            return self._first_missing(ahead)
        if ahead % self._step:
            smaller = gcd(self._step, ahead)
            self.lost += self._advanced // smaller - self._advanced // self._step
            self._step = smaller
        self._advanced += ahead
        return max(0, ahead // self._step - 1)

    def _first_missing(self, ahead: int) -> int:
        """While the step is not known nothing is said to be missing; what was, is counted once it is."""
        self._first_steps.append(ahead)
        if ahead != 1 and len(self._first_steps) < LEARNING_STEPS:
            return 0
        self._step = gcd(*self._first_steps) or 1
        self._advanced = sum(self._first_steps)
        places = self._advanced // self._step
        missing = max(0, ahead // self._step - 1)
        self.lost += max(0, places - len(self._first_steps) - missing)
        return missing


def agree(steps: float, wanted: float) -> bool:
    """Whether a number of samples is the one that passed by the clock."""
    return abs(steps - wanted) <= max(2.0, 0.1 * wanted)
