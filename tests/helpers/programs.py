"""Collections of programs whose names are known before any of them is made: collecting tests must cost nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from edgernn.program.program import Program


class Programs(Mapping[str, Program]):
    """Programs by name, each made by its function when it is first asked for, and kept."""

    def __init__(self, makers: Mapping[str, Callable[[], Program]]) -> None:
        self._makers = dict(makers)
        self._made: dict[str, Program] = {}

    def __getitem__(self, name: str) -> Program:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def with_prefix(self, prefix: str) -> dict[str, Callable[[], Program]]:
        """The functions that give these programs, under longer names, for a larger collection."""
        return {f"{prefix}{name}": self.maker(name) for name in self}

    def maker(self, name: str) -> Callable[[], Program]:
        """The function that gives one of these programs, for another collection."""
        return lambda: self[name]
