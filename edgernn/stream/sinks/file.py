"""Events in a file, as JSON lines or CSV."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from edgernn.stream.events import Event
from edgernn.stream.sinks.base import Sink
from edgernn.stream.sinks.lines import CSV_HEADING, Style, format_event
from edgernn.stream.sinks.rotating import DEFAULT_MAX_BYTES, RotatingFile


class FileSink(Sink):
    """Appends events to a file of bounded size.

    Parameters
    ----------
    location : str
        Path of the file.
    format : {"json", "csv", "text"}, optional
        Chosen by the suffix if not given: ``.csv``, ``.txt`` (text), otherwise JSON lines.
    max_bytes : int
        Maximum size of the file.
    rotate : int
        Number of old files that are kept.
    on_notice : callable, optional
        Called with a sentence when the disk is full, and when it takes events again.
    """

    def __init__(
        self,
        location: str,
        *,
        format: Style | None = None,
        max_bytes: int = DEFAULT_MAX_BYTES,
        rotate: int = 1,
        on_notice: Callable[[str], None] | None = None,
    ) -> None:
        path = Path(location)
        by_suffix: dict[str, Style] = {".csv": "csv", ".txt": "text"}
        self._style: Style = format or by_suffix.get(path.suffix, "json")
        self._file = RotatingFile(
            path,
            max_bytes=max_bytes,
            rotate=rotate,
            heading=f"{CSV_HEADING}\n".encode if self._style == "csv" else bytes,
            on_notice=on_notice or logging.getLogger("edgernn").warning,
        )

    def write(self, event: Event) -> None:
        self._file.write(f"{format_event(event, self._style)}\n".encode())

    def tick(self) -> None:
        self._file.tick()

    def close(self) -> None:
        self._file.close()
