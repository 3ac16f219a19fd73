"""Recorder: keeps the bytes of a source with their arrival times, and marks what was done when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from edgernn.errors import ConfigError
from edgernn.stream.formats.detect import Detector
from edgernn.stream.formats.headings import write_heading
from edgernn.stream.recording import LabelMark, RecordedChunk, RecordingInfo, encode_chunk, encode_heading, encode_mark
from edgernn.stream.sinks.rotating import DEFAULT_MAX_BYTES, RotatingFile
from edgernn.stream.sources.base import Chunk, Source
from edgernn.stream.sources.reader import Reader

WAIT_S = 0.1  # for bytes, before looking whether to stop


class Recorder:
    """Writes a source to a recording. Use it as a context manager.

    Parameters
    ----------
    source : Source
        Opened by ``with``.
    path : Path
        The new file; when it is full it becomes ``NAME.1`` and a new one begins, with the same names and label.
    format_name : str, optional
        The format of the bytes, if it is known.
    max_bytes, rotate : int
        Largest size of a file, number of old files that are kept.
    on_notice : callable
        Called with a sentence whenever something happened that a person should know.

    Attributes
    ----------
    bytes, gaps : int
        Recorded bytes; places where bytes are missing.

    Raises
    ------
    ConfigError
        The file exists, or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from edgernn.stream.recording import RecordingReader
    >>> from edgernn.stream.sources.memory import MemorySource
    >>> source = MemorySource()
    >>> source.write(b"1,2\\n")
    >>> source.end()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Recorder(source, Path(folder) / "a.edgerec", on_notice=print) as recorder:
    ...         recorder.mark("wave")
    ...         for _ in recorder.reads():
    ...             pass
    ...     reader = RecordingReader(Path(folder) / "a.edgerec")
    ...     [chunk.data for chunk in reader]
    ...     reader.close()
    [b'1,2\\n']
    """

    def __init__(
        self,
        source: Source,
        path: Path,
        *,
        format_name: str | None = None,
        max_bytes: int = DEFAULT_MAX_BYTES,
        rotate: int = 1,
        on_notice: Callable[[str], None],
    ) -> None:
        for existing in (path, path.with_name(f"{path.name}.1")):
            if existing.exists():
                raise ConfigError(f"{existing} is there already: choose another name, recordings are not overwritten")
        self.bytes = self.gaps = 0
        self.ended = False
        self._source, self._notice = source, on_notice
        self._reader = Reader(source)
        self._info = RecordingInfo(source=source.name, format=format_name)
        self._after_gap = not source.whole_start  # it begins anywhere in a frame
        self._detector: Detector | None = Detector(format_name, whole_start=source.whole_start)  # until names are known
        self._names = b""  # the heading that the board sent
        self._label: str | None = None
        self._files = 0
        self._file = RotatingFile(
            path, max_bytes=max_bytes, rotate=rotate, heading=self._begin, on_notice=on_notice, clock=source.clock
        )

    def __enter__(self) -> Recorder:
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.stop()
        self._file.close()

    def mark(self, label: str | None) -> None:
        """From here on `label` is done; None where nothing is."""
        self._label = label
        clock = self._source.clock
        self._file.write(encode_mark(LabelMark(clock.monotonic_ns(), clock.wall_ns(), label)))

    def reads(self, seconds: float | None = None) -> Iterator[float]:
        """Record for so many seconds, or to the end of the source; yields the seconds so far, at least every 100 ms.

        Raises
        ------
        SourceError
            The source cannot be read.
        """
        clock = self._source.clock
        begin_ns = clock.monotonic_ns()
        elapsed_s = 0.0
        while not self.ended and (seconds is None or elapsed_s < seconds):
            item = self._reader.next(WAIT_S if seconds is None else min(WAIT_S, seconds - elapsed_s))
            if isinstance(item, Chunk):
                self._keep(item)
            elif item is not None and item.kind == "end":
                self.ended = True
            elif item is not None:
                self._notice(item.text)
                self._after_gap = True
            self._file.tick()
            elapsed_s = (clock.monotonic_ns() - begin_ns) / 1e9
            yield elapsed_s

    def _begin(self) -> bytes:
        """What a file begins with; one behind another also has the names of the numbers, and the label that holds."""
        self._files += 1
        heading = encode_heading(self._info)
        if self._files == 1:
            return heading
        now = (self._source.clock.monotonic_ns(), self._source.clock.wall_ns())
        names = encode_chunk(RecordedChunk(*now, self._names)) if self._names else b""
        gap = encode_chunk(RecordedChunk(*now, b"", after_gap=True))  # what follows begins anywhere in a frame
        return heading + names + gap + encode_mark(LabelMark(*now, self._label))

    def _keep(self, chunk: Chunk) -> None:
        begins = self.bytes == 0
        after_gap = self._after_gap or chunk.after_gap
        if self._detector is not None and (found := self._detector.feed(chunk.data)) is not None:
            self._detector = None
            self._names = write_heading(found.channels, found.units) if found.format == "csv" else b""
        self._file.write(encode_chunk(RecordedChunk(chunk.monotonic_ns, chunk.wall_ns, chunk.data, after_gap)))
        self.bytes += len(chunk.data)
        self.gaps += after_gap and not begins
        self._after_gap = False
