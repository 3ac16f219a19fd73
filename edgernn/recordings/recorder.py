"""Recorder: keeps the bytes of a source with their arrival times, and marks what was done when."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from edgernn.errors import ConfigError, FormatError
from edgernn.stream.formats import make_format
from edgernn.stream.formats.base import Format
from edgernn.stream.formats.detect import Detector
from edgernn.stream.formats.headings import write_heading
from edgernn.stream.recording import (
    LabelMark,
    RecordedChunk,
    RecordingInfo,
    RecordingReader,
    encode_chunk,
    encode_heading,
    encode_mark,
)
from edgernn.stream.sinks.rotating import DEFAULT_MAX_BYTES, MAX_ROTATED, RotatingFile
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
    bytes, gaps, samples : int
        Bytes that came; places where bytes are missing; samples in them, once their form is known.

    Raises
    ------
    ConfigError
        The file exists, or cannot be created.
    RecordingError
        The file cannot be written.

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
        self.bytes = self.gaps = self.samples = 0
        self._parser: Format | None = None
        self.ended = False
        self._source, self._notice = source, on_notice
        self._reader = Reader(source)
        self._info = RecordingInfo(source=source.name, format=format_name)
        self._after_gap = not source.whole_start  # it begins anywhere in a frame
        self._detector: Detector | None = Detector(format_name, whole_start=source.whole_start)  # until names are known
        self._names = b""  # the heading that the board sent
        self._label: str | None = None
        self._files = 0
        self._path, self._max_bytes, self._rotate = path, max_bytes, rotate
        self._take: list[bytes] | None = None  # entries of a take that is not judged yet

    def __enter__(self) -> Recorder:
        self._reader.start()  # first, so that a port that cannot be opened leaves no file
        try:
            self._file = RotatingFile(
                self._path,
                max_bytes=self._max_bytes,
                rotate=self._rotate,
                heading=self._begin,
                on_notice=self._notice,
                clock=self._source.clock,
                must_write=True,
            )
        except BaseException:
            self._reader.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.stop()
        try:
            self.keep_take(None)
        finally:
            self._file.close()

    def begin_take(self) -> None:
        """Hold back what comes until `keep_take` says whether it was good."""
        self._take = []
        self._take_begin = (self._source.clock.monotonic_ns(), self._source.clock.wall_ns())

    def keep_take(self, label: str | None) -> None:
        """Write what came since `begin_take`, as an example of `label`; without a label if it was not good.

        Raises
        ------
        RecordingError
            The file cannot be written.
        """
        if self._take is None:
            return
        held, self._take = self._take, None
        if label is not None:
            self._label = label
            self._file.write(encode_mark(LabelMark(*self._take_begin, label)))
        for entry in held:
            self._file.write(entry)
        if label is not None:
            self.mark(None)

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
        self._count(chunk.data, after_gap)
        entry = encode_chunk(RecordedChunk(chunk.monotonic_ns, chunk.wall_ns, chunk.data, after_gap))
        if self._take is None:
            self._file.write(entry)
        else:
            self._take.append(entry)
        self.bytes += len(chunk.data)
        self.gaps += after_gap and not begins
        self._after_gap = False

    def _count(self, data: bytes, after_gap: bool) -> None:
        """Count the samples in bytes; what cannot be read is kept all the same."""
        if self._parser is not None:
            if after_gap:
                self._parser.resynchronise()
        elif self._detector is not None:
            try:
                found = self._detector.feed(data)
            except FormatError as error:
                self._notice(f"{error}; the bytes are kept as they are")
                self._detector = None
                return
            if found is None:
                return
            self._names = write_heading(found.channels, found.units) if found.format == "csv" else b""
            whole = self._detector.whole_start
            self._parser = make_format(
                found.format, found.width, whole_start=whole, channels=found.channels, form=found.form
            )
            data, self._detector = bytes(self._detector.seen), None
        if self._parser is not None:
            self.samples += sum(len(samples.values) for samples in self._parser.feed(data))


def recorded_bytes(path: Path) -> int:
    """How many bytes of the source are in a recording and the files that it was rotated to, read back from the disk."""
    files = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, MAX_ROTATED + 1))]
    total = 0
    for file in itertools.takewhile(Path.exists, files):
        with contextlib.suppress(FormatError):
            reader = RecordingReader(file)
            try:
                total += sum(len(chunk.data) for chunk in reader)
            finally:
                reader.close()
    return total
