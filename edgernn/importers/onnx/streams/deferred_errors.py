"""Values that stand for something which a stream does not have: an error only where their numbers are needed."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from edgernn.importers.onnx.streams.timing import NeedsWindowError


class DeferredErrors:
    """By value or state, what a stream does not have of it. Shapes are right, and may be asked for."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}

    def add(self, name: str, reason: str) -> None:
        """Say what is missing of a value."""
        self._reasons[name] = reason

    def pass_on(self, sources: Iterable[str], targets: Collection[str]) -> None:
        """What is made of such a value or state is another."""
        reasons = [self._reasons[name] for name in sources if name in self._reasons]
        if reasons:
            self._reasons.update(dict.fromkeys(targets, reasons[0]))

    def check(self, names: Iterable[str]) -> None:
        """Refuse values whose numbers are needed.

        Raises
        ------
        NeedsWindowError
            One stands for something that a stream does not have.
        """
        for name in names:
            if name in self._reasons:
                raise NeedsWindowError(self._reasons[name])
