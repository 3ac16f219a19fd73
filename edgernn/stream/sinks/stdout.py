"""Events on the standard output, each one at once."""

from __future__ import annotations

import contextlib
import os
import sys

from edgernn.stream.events import Event
from edgernn.stream.sinks.base import Sink
from edgernn.stream.sinks.lines import CSV_HEADING, Style, format_event


class StdoutSink(Sink):
    """Prints events, and flushes after each, so that a pipe gets them when they happen.

    Parameters
    ----------
    location : str
        Nothing.
    format : {"json", "csv", "text"}
        How an event is written.
    """

    def __init__(self, location: str = "", *, format: Style = "text") -> None:
        self._style = format
        if format == "csv":
            self._print(CSV_HEADING)

    def write(self, event: Event) -> None:
        self._print(format_event(event, self._style))

    def tick(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """The standard output stays open."""

    def _print(self, line: str) -> None:
        if sys.stdout is None or sys.stdout.closed:
            raise BrokenPipeError("the standard output is closed: give --output FILE to keep events there")
        try:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        except BrokenPipeError as error:
            _discard_rest()
            raise BrokenPipeError("the standard output is closed: whoever read the events has ended") from error
        except OSError as error:
            _discard_rest()
            raise OSError(f"the standard output cannot be written: {error.strerror}") from error


def _discard_rest() -> None:
    """What could not be written would be tried once more when Python ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
