"""Names that are given once: of values, operations, weights and states."""

from __future__ import annotations

from collections.abc import Iterable


class Names:
    """Names of one kind of thing.

    Examples
    --------
    >>> names = Names(["x"])
    >>> names.unique("x"), names.unique("y")
    ('x#2', 'y')
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def take(self, name: str) -> None:
        """Let nothing else have a name."""
        self._taken.add(name)

    def unique(self, name: str) -> str:
        """`name`, with a number if it is taken; taken from now on."""
        candidate, number = name, 2
        while candidate in self._taken:
            candidate, number = f"{name}#{number}", number + 1
        self._taken.add(candidate)
        return candidate
