"""Stream: a source, a pipeline and a reader that survives unplugged cables, as an iterator of events."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
import numpy as np

from edgernn.errors import ConfigError
from edgernn.program.program import Program
from edgernn.stream.clock import Clock, SystemClock
from edgernn.stream.config import StreamSettings, as_settings, resolve
from edgernn.stream.events import Event
from edgernn.stream.input_mapping import map_inputs
from edgernn.stream.monitor import SourceMonitor
from edgernn.stream.pipeline import Pipeline, changed_metadata
from edgernn.stream.sources import make_source
from edgernn.stream.sources.base import Chunk, Source
from edgernn.stream.sources.merged import MergedReader
from edgernn.stream.sources.reader import Notice

WAIT_S = 0.1  # for bytes, before looking whether to stop
LATENCIES = 4096  # of the last reads, kept for percentiles

_log = logging.getLogger("edgernn")


class StreamStatus(msgspec.Struct):
    """What a stream has done so far.

    Attributes
    ----------
    steps, events, reads, bytes : int
        Samples that the model saw, events, chunks of bytes, bytes.
    format : str or None
        Name of the format once it is known.
    rate_hz : float or None
        Measured rate of samples.
    drift_ppm : float or None
        How much the board's clock is fast, where it sends its time.
    scores : dict of str to float
        Smoothed scores of the last output.
    latency_p50_ns, latency_p99_ns : int or None
        From the arrival of bytes to the decision on them, over the last 4096 reads that held a sample.
    dropped_bytes, reconnects : int
        Bytes that a slow consumer cost, ports that came back.
    counts : dict of str to int
        Samples, and lost, malformed and other ones by kind.
    silent_s : dict of str to float
        For how long live sources gave nothing to use, by cause: no bytes, no samples, a channel without numbers, the
        same values, unplugged. Silences of less than 3 s are none.
    """

    steps: int = 0
    events: int = 0
    reads: int = 0
    bytes: int = 0
    format: str | None = None
    rate_hz: float | None = None
    drift_ppm: float | None = None
    scores: dict[str, float] = {}
    latency_p50_ns: int | None = None
    latency_p99_ns: int | None = None
    dropped_bytes: int = 0
    reconnects: int = 0
    counts: dict[str, int] = {}
    silent_s: dict[str, float] = {}


class Stream:
    """Events of a source, for ``for`` and ``async for``. Use it as a context manager to close the port at once.

    Parameters
    ----------
    program : Program
    source : Source
    settings : StreamSettings
    format_name : str, optional
        The format, if the source's address names it.
    on_notice : callable, optional
        Called with a sentence whenever something happened that a person should know. The logger ``edgernn`` gets them
        if it is not given.
    runner : optional
        Runs the program instead of a `Runner`.
    latched : sequence of (Source, str or None)
        Further sources, and their formats if their addresses name them, in the order of
        `edgernn.stream.input_mapping.map_inputs`; `source` is the fastest.

    Attributes
    ----------
    is_open : bool
        Its sources are read.
    received_ns : int
        When this process had the bytes of the last read, on the source's monotonic clock; 0 before the first.
    """

    def __init__(
        self,
        program: Program,
        source: Source,
        settings: StreamSettings,
        *,
        format_name: str | None = None,
        on_notice: Callable[[str], None] | None = None,
        runner: Any = None,
        latched: Sequence[tuple[Source, str | None]] = (),
    ) -> None:
        self.pipeline = Pipeline(
            program,
            settings,
            runner=runner,
            format_name=format_name,
            whole_start=source.whole_start,
            latched_forms=[(form, other.whole_start) for other, form in latched],
        )
        self.settings = settings
        self.source = source
        self._clock = source.clock
        self._notice = on_notice or _log.warning
        sources = (source, *(other for other, _ in latched))
        self._monitors = tuple(
            SourceMonitor(
                one,
                decoder,
                self._notice,
                is_latched=place > 0,
                is_only=not latched,
                allow_rate=settings.allow_rate,
            )
            for place, (one, decoder) in enumerate(zip(sources, self.pipeline.decoders, strict=True))
        )
        self._reader = MergedReader(sources, reconnect=settings.reconnect)
        self._stopping = threading.Event()
        self.is_open = False
        self._events = self._reads = self._bytes = 0
        self.received_ns = 0
        self._latencies_ns = np.zeros(LATENCIES, np.int64)  # ring
        self._timed_reads = 0
        self._seen_diverged = 0

    def open(self) -> Stream:
        """Open the source and begin to read; `with` and iterating do it too.

        Raises
        ------
        SourceError
            The source cannot be opened.
        """
        for note in self.pipeline.notes:
            self._notice(note)
        self._reader.start()
        self.is_open = True
        for monitor in self._monitors:
            monitor.opened(self._clock.monotonic_ns())
        return self

    def close(self) -> None:
        """Stop and close the source."""
        self._stopping.set()
        self._reader.stop()
        self.is_open = False

    def stop(self) -> None:
        """End the iteration soon. May be called from a signal handler or another thread."""
        self._stopping.set()

    def __enter__(self) -> Stream:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Event]:
        for events in self.reads():
            yield from events

    async def __aiter__(self) -> AsyncIterator[Event]:
        """``async for event in stream``: the reads happen in threads, one after the other."""
        reads = self.reads()
        try:
            while (events := await self._read_aside(reads)) is not None:
                for event in events:
                    yield event
        finally:
            reads.close()

    async def _read_aside(self, reads: Iterator[list[Event]]) -> list[Event] | None:
        """The next read, made in a thread; None at the end. One that is cancelled is waited for."""
        reading = asyncio.ensure_future(asyncio.to_thread(next, reads, None))
        try:
            return await asyncio.shield(reading)
        except asyncio.CancelledError:
            self.stop()
            await reading
            raise

    def reads(self) -> Generator[list[Event]]:
        """The events of each read, mostly none; also an empty list about every 100 ms in which nothing came.

        For programs that do something between reads, such as drawing a status line. A stream that is not open is
        opened, and closed at the end.

        Raises
        ------
        SourceError
            The source cannot be opened, or was lost and is not to be opened again.
        FormatError
            The samples do not fit the model, or come at another rate from the start.
        """
        if self.is_open:
            yield from self._each_read()
        else:
            with self:
                yield from self._each_read()

    def _each_read(self) -> Generator[list[Event]]:
        while not self._stopping.is_set():
            arrived = self._reader.next(WAIT_S)
            if arrived is None:
                self._look(self._clock.monotonic_ns())
                yield []
                continue
            place, item = arrived
            if isinstance(item, Chunk):
                yield self._take(item, place)
            elif item.kind != "end":
                self._interrupted(item, place)
                yield []
            else:
                yield self._finish(place)
                if place == 0:
                    return

    def status(self) -> StreamStatus:
        """What the stream has done so far."""
        pipeline = self.pipeline
        count = min(self._timed_reads, LATENCIES)
        p50, p99 = np.percentile(self._latencies_ns[:count], [50, 99]).tolist() if count else (None, None)
        form = pipeline.decoder.frames.format
        return StreamStatus(
            steps=pipeline.steps,
            events=self._events,
            reads=self._reads,
            bytes=self._bytes,
            format=None if form is None else form.name,
            rate_hz=pipeline.decoder.rate.rate_hz,
            drift_ppm=pipeline.decoder.clock_fit.drift_ppm,
            scores=dict(zip(pipeline.labels, pipeline.scores.tolist(), strict=True)),
            latency_p50_ns=None if p50 is None else round(p50),
            latency_p99_ns=None if p99 is None else round(p99),
            dropped_bytes=sum(reader.dropped_bytes for reader in self._reader.readers),
            reconnects=sum(reader.reconnects for reader in self._reader.readers),
            counts=pipeline.counts(),
            silent_s=self._silent_s(),
        )

    def _silent_s(self) -> dict[str, float]:
        now_ns = self._clock.monotonic_ns()
        silent_s: Counter[str] = Counter()
        for monitor in self._monitors:
            silent_s.update(monitor.silent_s(now_ns))
        return dict(silent_s)

    def _take(self, chunk: Chunk, place: int) -> list[Event]:
        self._reads += 1
        self._bytes += len(chunk.data)
        self.received_ns = chunk.received_ns
        monitor = self._monitors[place]
        steps, samples = self.pipeline.steps, monitor.decoder.samples
        events = self._timed(self.pipeline.feed(chunk, place), chunk)
        if self.pipeline.steps != steps:
            self._latencies_ns[self._timed_reads % LATENCIES] = self._clock.monotonic_ns() - chunk.received_ns
            self._timed_reads += 1
        if self.pipeline.diverged != self._seen_diverged:
            self._seen_diverged = self.pipeline.diverged
            self._notice("a state of the model was no longer finite: the model was reset")
        monitor.took(chunk, had_samples=monitor.decoder.samples != samples)
        self._look(chunk.monotonic_ns)
        return events

    def _look(self, now_ns: int) -> None:
        for monitor in self._monitors:
            monitor.look(now_ns)

    def _timed(self, events: list[Event], chunk: Chunk) -> list[Event]:
        """The same events with their latency."""
        self._events += len(events)
        if not events:
            return events
        latency_ns = self._clock.monotonic_ns() - chunk.received_ns
        return [msgspec.structs.replace(event, latency_ns=latency_ns) for event in events]

    def _finish(self, place: int) -> list[Event]:
        """A source has ended; with the first of them the stream ends."""
        now_ns = self._clock.monotonic_ns()
        chunk = Chunk(b"", now_ns, self._clock.wall_ns(), now_ns)
        events = self._timed(self.pipeline.finish(chunk, place), chunk)
        self._monitors[place].ended()
        return events

    def _interrupted(self, notice: Notice, place: int) -> None:
        self._monitors[place].interrupted(notice, self._clock.monotonic_ns())
        self.pipeline.interrupted(place, reconnected=notice.kind != "dropped")


def open_stream(
    model: str | Path | Program,
    source: str | Path | Source | None = None,
    *,
    on_notice: Callable[[str], None] | None = None,
    clock: Clock | None = None,
    **settings: Any,
) -> Stream:
    """Open a source and turn its samples into events.

    Parameters
    ----------
    model : str, Path or Program
        A model, or a TOML file that names one.
    source : str, Path or Source, optional
        Address of the source, such as ``/dev/ttyACM0`` or ``serial:///dev/ttyACM0?baud=115200&format=csv``; the only
        serial port if neither this nor the settings name one. The settings ``inputs`` and ``join`` name sources of
        several inputs.
    on_notice : callable, optional
        Called with a sentence whenever something happened that a person should know, such as an unplugged cable.
    clock : Clock, optional
        Where times come from.
    **settings
        Fields of `edgernn.stream.config.StreamSettings`, or options of ``edgernn run`` such as ``threshold`` and
        ``hold_off``. They go before ``EDGERNN_*`` variables and the TOML file.

    Returns
    -------
    Stream
        Opened by ``with``, `Stream.open` or iterating.

    Raises
    ------
    ConfigError
        A setting is wrong, or no source is given and there is not exactly one serial port.
    ModelError
        The model cannot be used.

    Examples
    --------
    >>> import io
    >>> with open_stream("gesture.onnx", "/dev/ttyACM0") as stream:  # doctest: +SKIP
    ...     for event in stream:
    ...         print(event.label, event.score)
    """
    flags = as_settings(settings)
    if source is not None and not isinstance(source, Source):
        flags["source"] = str(source)
    resolved, program = resolve_model(model, flags)
    made: list[tuple[Source, str | None]] = []
    for input_mapping in map_inputs(program, changed_metadata(program.metadata, resolved), resolved):
        if input_mapping.source is None and isinstance(source, Source):
            made.append((source, None))
        else:
            address = input_mapping.source or only_port()
            made.append(make_source(address, clock=clock or SystemClock(), baud=resolved.baud))
    (first, format_name), *others = made
    return Stream(program, first, resolved, format_name=format_name, on_notice=on_notice, latched=others)


def resolve_model(model: str | Path | Program, flags: Mapping[str, Any]) -> tuple[StreamSettings, Program]:
    """The settings with these flags, and the model: a Program, its file, or a TOML file that names it.

    Raises
    ------
    ConfigError
        A setting is wrong.
    ModelError
        The model cannot be used.
    """
    if isinstance(model, Program):
        return resolve(flags), model
    path = Path(model)
    settings = resolve(flags, path=path) if path.suffix == ".toml" else resolve({**flags, "model": str(path)})
    return settings, _load_program(settings, path)


def _load_program(settings: StreamSettings, path: Path) -> Program:
    """The model that the settings name, loaded as they say."""
    from edgernn.importers import load

    if settings.model is None:
        raise ConfigError(f"{path}: model is missing")
    return load(
        settings.model,
        window=settings.window,
        hop=settings.hop or 1 if settings.window is not None else 1,
        time_axis=settings.time_axis,
        states=settings.states,
        fixed=settings.fixed,
        assume_torch_gru=settings.assume_torch_gru,
        attention_steps=settings.attention_steps,
        tail=settings.tail,
    )


def only_port() -> str:
    """Device of the only serial port, see `edgernn.stream.sources.ports.only_serial_port`."""
    from edgernn.stream.sources.ports import only_serial_port

    return only_serial_port()
