"""Channels: which numbers of a source are the model's, as its names and headings say, also when these change."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgernn.errors import FormatError
from edgernn.stream.formats.base import Format
from edgernn.stream.formats.detect import Detected
from edgernn.stream.formats.headings import Heading, names_all, read_heading
from edgernn.stream.formats.line import LineForm
from edgernn.stream.formats.names import clock_columns, places_by_name
from edgernn.stream.formats.units import same_unit
from edgernn.stream.input_mapping import InputMapping, choose_columns
from edgernn.stream.signals.normalise import Normalise

MAX_TOLD = 10  # lines of text that are told; the same one counts once, whatever its digits are
SHOWN_CHARACTERS = 60
_PLAIN = {LineForm("numbers"), LineForm("named"), LineForm("json"), None}


class ChannelChoice:
    """Follows the headings of one source.

    Parameters
    ----------
    input_mapping : InputMapping
        What the model gets from the source.

    Attributes
    ----------
    normalise : Normalise or None
        Takes the model's numbers out of samples; None until the source is known.
    columns : sequence of int
        Their places in a sample.
    notices : list of str
        What a person should know; whoever tells it takes it out.
    later_headings : int
        Headings that came among the samples, as when a board is restarted.
    """

    def __init__(self, input_mapping: InputMapping) -> None:
        self._mapping = input_mapping
        self.normalise: Normalise | None = None
        self.columns: Sequence[int] = ()
        self.notices: list[str] = []
        self.later_headings = 0
        self._found: Detected | None = None
        self._told: set[str] = set()

    def connect(self, found: Detected) -> Normalise:
        """Choose the model's channels among the numbers that a source sends.

        Raises
        ------
        FormatError
            The source sends something else than the model takes.
        ConfigError
            A column is beyond the width.
        """
        self.normalise = self._choose(found)
        self._found = found
        if found.form not in _PLAIN:
            self.notices.append(f"samples come as {found}")
        if found.texts:
            self._tell(found.texts[-1])
        return self.normalise

    def heard(self, texts: Sequence[bytes], parser: Format) -> None:
        """Lines of text came before the next sample: follow a heading among them, tell what is not understood.

        Raises
        ------
        FormatError
            A heading names other numbers, or other units.
        """
        found = self._found
        if found is None or (found.form is not None and found.form.layout != "numbers"):
            return
        for text in texts:
            heading = read_heading(text, self._mapping.channels or found.channels)
            if heading is not None and self._is_heading(heading, found):
                self._follow(heading, found, parser)
                found = self._found or found
            elif text is texts[-1]:
                self._tell(text)

    def _is_heading(self, heading: Heading, found: Detected) -> bool:
        if self._mapping.channels and names_all(heading, self._mapping.channels):
            return True
        shared = set(heading.channels) & {*found.channels, *self._mapping.channels}
        return bool(shared) and len(heading.channels) == found.width

    def _follow(self, heading: Heading, found: Detected, parser: Format) -> None:
        self.later_headings += 1
        if heading.channels == found.channels and heading.units == found.units:
            return
        if len(heading.channels) != found.width:
            raise FormatError(
                f"the heading changed: it names {len(heading.channels)} numbers ({', '.join(heading.channels)}), the "
                f"samples had {found.width}; start again"
            )
        self._expect_units(heading, found)
        changed = found._replace(channels=heading.channels, units=heading.units, texts=())
        same_names = set(heading.channels) == set(found.channels)
        if found.channels and not self._mapping.channels and same_names and not self._mapping.columns:
            order = [place or 0 for place in places_by_name(heading.channels, found.channels)]
            self.columns = [order[column] for column in self.columns]
            self.normalise = self._normalise()
            changed = changed._replace(channels=heading.channels)
        else:
            self.normalise = self._choose(changed)
        self._found = changed
        parser.clock = clock_columns(heading.channels, self.columns)
        if found.channels and heading.channels != found.channels:
            self.notices.append(
                f"the heading changed from {', '.join(found.channels)} to {', '.join(heading.channels)}: its order "
                f"is followed"
            )

    def _expect_units(self, heading: Heading, found: Detected) -> None:
        """A channel keeps its unit."""
        before = dict(zip(found.channels, found.units, strict=False))
        for name, unit in zip(heading.channels, heading.units, strict=True):
            if not same_unit(before.get(name, ""), unit):
                raise FormatError(
                    f"the heading changed: channel {name} came in {before[name]}, now it comes in {unit}; have the "
                    f"board send one unit, and start again"
                )

    def _choose(self, found: Detected) -> Normalise:
        self.columns = choose_columns(self._mapping, found.format, found.width, found.channels, found.units)
        return self._normalise()

    def _normalise(self) -> Normalise:
        mapping = self._mapping
        return Normalise(self.columns, scale=mapping.scale, mean=mapping.mean, std=mapping.std)

    def _tell(self, text: bytes) -> None:
        shown = text[:SHOWN_CHARACTERS].decode("utf-8", "backslashreplace")
        kind = re.sub(r"\d+", "0", shown)
        if kind in self._told or len(self._told) >= MAX_TOLD:
            return
        self._told.add(kind)
        self.notices.append(f"a line before the samples is not understood and passed over: {shown!r}")
