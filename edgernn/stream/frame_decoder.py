"""FrameDecoder: the bytes of one source to the numbers that a model takes, in their order, without regard to time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import ConfigError, FormatError
from edgernn.stream.channels import ChannelChoice
from edgernn.stream.formats import PLUGINS, link_formats, make_format
from edgernn.stream.formats.base import KINDS, Format, Samples
from edgernn.stream.formats.boot_texts import BootTexts
from edgernn.stream.formats.detect import Detected, Detector
from edgernn.stream.input_mapping import InputMapping, WholeNumbers

SIGHT_BYTES = 64  # of what was read last, for messages


class Decoded(NamedTuple):
    """Samples as the model takes them, and what the sender says about each.

    Attributes
    ----------
    X : ndarray float32 (n, C)
        Normalised; NaN where a number is missing.
    finite : bool
        All numbers of X are known to be finite.
    sequence, device_time_us : ndarray int64 (n,) or None
        The sender's number and clock, where it sends them.
    announced : bool
        The board has said before the first of them that it began once more.
    """

    X: NDArray[np.float32]
    finite: bool
    sequence: NDArray[np.int64] | None
    device_time_us: NDArray[np.int64] | None
    announced: bool = False


class FrameDecoder:
    """Finds the format of a source, parses it, chooses the model's channels and normalises them.

    Parameters
    ----------
    input_mapping : InputMapping
        Which of the source's numbers are wanted.
    format_name : str, optional
        The format; found out if not given.
    whole_start : bool
        The first byte begins a frame.
    whole_numbers : WholeNumbers, optional
        Finds samples that are out of the model's range, which count as missing.

    Attributes
    ----------
    format : Format or None
        None until it is known.
    channels : ChannelChoice
        Follows the source's headings.

    Raises
    ------
    ConfigError
        There is no such format.
    """

    def __init__(
        self,
        input_mapping: InputMapping,
        *,
        format_name: str | None = None,
        whole_start: bool = False,
        whole_numbers: WholeNumbers | None = None,
    ) -> None:
        if format_name is not None and format_name not in PLUGINS.names():
            raise ConfigError(f"format is {format_name!r}: use {', '.join(PLUGINS.names())} or auto")
        link_formats(format_name)
        self.input_mapping = input_mapping
        self.format: Format | None = None
        self._only_format = format_name
        self.channels = ChannelChoice(input_mapping)
        self._detector: Detector | None = self._new_detector(whole_start=whole_start)
        self._earlier_counts = np.zeros(len(KINDS), np.int64)  # of formats that turned out to be wrong
        self._earlier_missing: Counter[str] = Counter()
        self._whole_numbers = whole_numbers
        self._rejected = 0  # samples with numbers that are no ids
        self._is_connecting = False  # what stands before the first sample is known to the detector
        self._boot_texts = BootTexts()
        self._seen_headings = 0
        self._last_bytes = b""

    def counts(self) -> dict[str, int]:
        """Samples and everything that was not one, by kind."""
        seen = self._earlier_counts if self.format is None else self._earlier_counts + self.format.counts
        kinds = dict(zip(KINDS, seen.tolist(), strict=True))
        missing = self._earlier_missing if self.format is None else self._earlier_missing + self.format.missing
        causes = {f"missing_{cause}": count for cause, count in missing.items()}
        return {**kinds, **causes, "out_of_range": kinds["out_of_range"] + self._rejected}

    def feed(self, data: bytes) -> Iterator[Decoded]:
        """Take bytes; give the samples that are complete. Use the iterator up before the next call."""
        self._last_bytes = data[-SIGHT_BYTES:]
        if self._detector is None:
            return self._parse(data)
        if self.format is not None:
            return self._parse_or_detect(data, self._detector)
        found = self._detector.feed(data)
        return iter(()) if found is None else self._parse(self._choose_format(found))

    def _parse_or_detect(self, data: bytes, detector: Detector) -> Iterator[Decoded]:
        """The known format holds as soon as it gives samples again; another that suits the model takes its place."""
        gave_samples = False
        for decoded in self._parse(data):
            gave_samples = True
            yield decoded
        if gave_samples:
            self._detector = None
            return
        try:
            found = detector.feed(data)
            seen = None if found is None else self._choose_format(found)
        except (FormatError, ConfigError):
            self.detect_again()
            return
        if seen is not None:
            yield from self._parse(seen)

    def feed_values(
        self, values: NDArray[np.float64], names: tuple[str, ...] = (), units: tuple[str, ...] = ()
    ) -> Decoded:
        """Take samples (n, width) that are numbers already, as those of an array."""
        if self.channels.normalise is None:
            self.channels.connect(Detected("an array", values.shape[1], names, units))
        return self._normalised(Samples(np.ascontiguousarray(values, np.float64)))

    def finish(self) -> Iterator[Decoded]:
        """No more bytes come: decide on the format with what there is."""
        found = self._detector.finish() if self._detector is not None and self.format is None else None
        return iter(()) if found is None else self._parse(self._choose_format(found))

    def resynchronise(self) -> None:
        """Bytes are missing: the unfinished frame is dropped."""
        if self.format is None:
            heading = None if self._detector is None else self._detector.heading
            self._detector = self._new_detector(heading=heading)
        else:
            self._detector = None
            self.format.resynchronise()

    def detect_again(self) -> None:
        """Look for another format too, because this one gives no samples."""
        if self.format is not None:
            self._detector = self._new_detector()

    def unread(self) -> bytes:
        """Some of the last bytes of which no samples could be made."""
        return bytes(self._detector.seen[-SIGHT_BYTES:]) if self._detector is not None else self._last_bytes

    def _new_detector(self, **options: Any) -> Detector:
        return Detector(self._only_format, needs=self.input_mapping.needs, **options)

    def _choose_format(self, found: Detected) -> memoryview:
        assert self._detector is not None
        self.channels.connect(found)
        if self.format is not None:
            self._earlier_counts += self.format.counts
            self._earlier_missing += self.format.missing
        self.format = make_format(
            found.format,
            found.width,
            whole_start=self._detector.whole_start,
            channels=found.channels,
            taken=self.channels.columns,
            form=found.form,
        )
        self.format.on_texts = self._heard
        self._is_connecting = True
        seen, self._detector = self._detector.seen, None
        return memoryview(seen)

    def _heard(self, texts: tuple[bytes, ...]) -> None:
        if self.format is not None and not self._is_connecting:
            self.channels.heard(texts, self.format)

    def _parse(self, data: bytes | memoryview) -> Iterator[Decoded]:
        assert self.format is not None
        return map(self._normalised, self.format.feed(data))

    def _normalised(self, samples: Samples) -> Decoded:
        normalise = self.channels.normalise
        assert normalise is not None
        self._is_connecting = False
        X, finite = normalise(samples.values), normalise.finite  # (n, C)
        if self._whole_numbers and (rejected := self._whole_numbers.reject(X)):
            self._rejected, finite = self._rejected + rejected, False
        announced = self._boot_texts.announce(samples.texts) or self.channels.later_headings != self._seen_headings
        self._seen_headings = self.channels.later_headings
        return Decoded(X, finite, samples.sequence, samples.device_time_us, announced)
