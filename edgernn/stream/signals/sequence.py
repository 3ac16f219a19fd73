"""Follows the sender's sequence numbers: which samples are lost, doubled or late, and when the board began anew."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgernn.stream.signals.gaps import UNKNOWN

SEQUENCES = 1 << 16
TIMES_US = 1 << 32
TIME_UNKNOWN = -1


class Followed(NamedTuple):
    """What a block of sequence numbers says.

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
    """Unwraps sequence numbers (modulo 2**16) and tells faults apart.

    Attributes
    ----------
    lost, duplicated, late, restarts, unknown_losses : int
        `late` samples were counted as lost before they came, and are taken off `lost`; they are not used. A restart is
        a time that goes back together with a sequence that begins again at 0; of a sender that sends only one of them,
        that one alone. An unknown loss is an outage so long that the numbers may have wrapped.

    Examples
    --------
    >>> tracker = SequenceTracker()
    >>> tracker.follow(np.array([65534, 65535, 2]), np.array([0, 10, 40]), outage=False)
    Followed(keep=[0, 1, 2], missing=[0, 0, 2])
    >>> tracker.lost
    2
    """

    def __init__(self) -> None:
        self.lost = 0
        self.duplicated = 0
        self.late = 0
        self.restarts = 0
        self.unknown_losses = 0
        self._last: int | None = None
        self._last_time_us = 0

    def follow(
        self, sequence: NDArray[np.int64] | None, device_time_us: NDArray[np.int64] | None, *, outage: bool
    ) -> Followed:
        """Follow sequence numbers (n,) and device times (n,), or the one of them that is sent.

        `outage` says that before the first of them so much time passed that the numbers may have wrapped.
        """
        if sequence is None:
            return Followed(None, None) if device_time_us is None else self._follow_time(device_time_us, outage)
        if device_time_us is None:
            device_time_us = np.full(len(sequence), TIME_UNKNOWN)
        if self._last is not None and not outage and (int(sequence[0]) - self._last) % SEQUENCES == 1:
            steps = sequence[1:] - sequence[:-1]
            if (steps % SEQUENCES == 1).all():
                self._last, self._last_time_us = int(sequence[-1]), int(device_time_us[-1])
                return Followed(None, None)
        keep: list[int] = []
        missing: list[int] = []
        for row, (number, time_us) in enumerate(zip(sequence.tolist(), device_time_us.tolist(), strict=True)):
            count = self._next(number, time_us, outage and row == 0)
            if count is not None:
                keep.append(row)
                missing.append(count)
        return Followed(keep, missing)

    def _next(self, number: int, time_us: int, outage: bool) -> int | None:
        """Samples missing before this one, or None if it is not to be used."""
        last, last_time_us = self._last, self._last_time_us
        step = 1 if last is None else (number - last) % SEQUENCES
        went_back = step != 0 if time_us == TIME_UNKNOWN else _goes_back(time_us - last_time_us)
        restarted = last is not None and number == 0 and step != 1 and went_back
        if restarted or outage:
            self.restarts += restarted
            self.unknown_losses += not restarted
        elif step == 0:
            self.duplicated += 1
            return None
        elif step >= SEQUENCES // 2:
            self.late += 1
            self.lost -= 1
            return None
        else:
            self.lost += step - 1
        self._last, self._last_time_us = number, time_us
        return UNKNOWN if restarted or outage else step - 1

    def _follow_time(self, device_time_us: NDArray[np.int64], outage: bool) -> Followed:
        """Without a sequence no loss is known, only that the sender's clock began anew."""
        before = device_time_us[0] if self._last is None else self._last_time_us
        if not outage and not _goes_back(np.diff(device_time_us, prepend=before)).any():
            self._last, self._last_time_us = 0, int(device_time_us[-1])
            return Followed(None, None)
        missing = [0] * len(device_time_us)
        for row, time_us in enumerate(device_time_us.tolist()):
            restarted = self._last is not None and _goes_back(time_us - self._last_time_us)
            lost_track = outage and row == 0
            self.restarts += restarted
            self.unknown_losses += lost_track and not restarted
            if restarted or lost_track:
                missing[row] = UNKNOWN
            self._last, self._last_time_us = 0, time_us
        return Followed(None, missing if UNKNOWN in missing else None)


def _goes_back(step_us: Any) -> Any:
    """Whether a step, or each of an array of them, of the sender's clock modulo 2**32 goes back in time."""
    return step_us % TIMES_US >= TIMES_US // 2
