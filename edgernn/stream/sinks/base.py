"""What all sinks have in common: they take events, are told that time passes, and are closed."""

from __future__ import annotations

from abc import ABC, abstractmethod

from edgernn.stream.events import Event


class Sink(ABC):
    """Where events go."""

    @abstractmethod
    def write(self, event: Event) -> None:
        """Take an event."""

    @abstractmethod
    def tick(self) -> None:
        """Called between reads, for what must not wait for the next event."""

    @abstractmethod
    def close(self) -> None:
        """Finish; closing twice is harmless."""
