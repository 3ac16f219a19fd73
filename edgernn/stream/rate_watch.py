"""Compares the rate at which samples come with that of the model: an error at the start, later a notice."""

from __future__ import annotations

from collections.abc import Callable

from edgernn.errors import FormatError
from edgernn.stream.sample_decoder import SampleDecoder

START_SPANS = 5  # measurements that belong to the start


class RateWatch:
    """Judges the rate whenever it was measured again and the last measurements agree.

    Parameters
    ----------
    decoder : SampleDecoder
    prefix : str
        Stands before each sentence, where there are several sources.
    """

    def __init__(self, decoder: SampleDecoder, prefix: str) -> None:
        self._decoder, self._prefix = decoder, prefix
        self._seen_spans = 0
        self._was_right = False  # or told at the start
        self._is_wrong = False

    def look(self, say: Callable[[str], None]) -> None:
        """Judge a new measurement.

        Raises
        ------
        FormatError
            The first rate that is sure is not the model's.
        """
        rate = self._decoder.rate
        if rate.spans == self._seen_spans or rate.agreed_hz is None:
            return
        self._seen_spans = rate.spans
        complaint = self._decoder.rate_complaint()
        if complaint is None:
            self._was_right, self._is_wrong = True, False
        elif not self._was_right and rate.spans <= START_SPANS:
            raise FormatError(self._prefix + complaint)
        elif not self._is_wrong:
            self._is_wrong = self._was_right = True
            say(f"{self._prefix}{complaint}; the stream goes on, its events may be wrong")
