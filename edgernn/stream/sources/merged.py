"""Several sources as one: what arrived first comes first."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from edgernn.errors import ConfigError
from edgernn.stream.sources.base import Chunk, Source
from edgernn.stream.sources.reader import Item, Reader


class MergedReader:
    """Readers of one source or several, whose bytes come in the order of their arrival.

    Parameters
    ----------
    sources : sequence of Source
        All live, or all recordings that were made at the same time on one machine.
    reconnect : bool
        As of `Reader`.

    Attributes
    ----------
    readers : tuple of Reader

    Raises
    ------
    ConfigError
        Some of several sources are live, others are not.
    """

    def __init__(self, sources: Sequence[Source], *, reconnect: bool = True) -> None:
        self._changed = threading.Condition()
        self.readers = tuple(Reader(source, reconnect=reconnect, changed=self._changed) for source in sources)
        self._live = sources[0].live
        self._heads: list[Item | None] = [None] * len(sources)  # of recordings, read but not given yet
        self._ended = [False] * len(sources)
        if any(source.live != self._live for source in sources):
            names = "; ".join(f"{source.name} {'is live' if source.live else 'is a file'}" for source in sources)
            raise ConfigError(f"sources that are joined must all be live or all be recordings: {names}")

    def start(self) -> None:
        """Open all sources and begin to read.

        Raises
        ------
        SourceError
            One cannot be opened; then none is.
        ConfigError
            A file among several has no arrival times.
        """
        try:
            for reader in self.readers:
                reader.start()
                if len(self.readers) > 1 and not reader.source.timed:
                    raise ConfigError(
                        f"{reader.source.name} has no arrival times, so it is unknown which samples of the other "
                        f"sources belong to its own: join recordings made by edgernn record"
                    )
        except BaseException:
            self.stop()
            raise

    def next(self, timeout_s: float) -> tuple[int, Item] | None:
        """The place of a source, and its next bytes or notice; None if nothing came in `timeout_s` seconds.

        Raises
        ------
        SourceError
            A source was lost and is not to be opened again.
        """
        if len(self.readers) == 1:
            item = self.readers[0].next(timeout_s)
            return None if item is None else (0, item)
        return self._next_live(timeout_s) if self._live else self._next_recorded(timeout_s)

    def stop(self) -> None:
        """Stop reading and close all sources."""
        for reader in self.readers:
            reader.stop()

    def _next_live(self, timeout_s: float) -> tuple[int, Item] | None:
        with self._changed:
            self._changed.wait_for(
                lambda: any(reader.waits_since_ns() is not None for reader in self.readers), timeout_s
            )
        since_ns = {place: reader.waits_since_ns() for place, reader in enumerate(self.readers)}
        waiting = {place: ns for place, ns in since_ns.items() if ns is not None}
        if not waiting:
            return None
        place = min(waiting, key=lambda place: waiting[place])
        item = self.readers[place].next(0.0)
        return None if item is None else (place, item)

    def _next_recorded(self, timeout_s: float) -> tuple[int, Item] | None:
        for place, reader in enumerate(self.readers):
            if self._heads[place] is None and not self._ended[place]:
                self._heads[place] = reader.next(timeout_s)
                if self._heads[place] is None:
                    return None  # a recording that is played at its pace
        arrivals = {
            place: head.monotonic_ns if isinstance(head, Chunk) else 0
            for place, head in enumerate(self._heads)
            if head is not None
        }
        place = min(arrivals, key=lambda place: arrivals[place])
        item, self._heads[place] = self._heads[place], None
        self._ended[place] = not isinstance(item, Chunk)
        return None if item is None else (place, item)
