"""What the passes after translation fused, and what nearly was a known form, with the reason; `inspect --explain`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from edgernn.program.operations import AnyOperation

MIN_MATCHED = 2  # operations of a pattern, from which on a value counts as nearly matching


class Fusion(NamedTuple):
    """A known form that became one operation."""

    pattern: str
    operation: str
    nodes: tuple[str, ...]


class NearMiss(NamedTuple):
    """A value that began like a known form."""

    pattern: str
    operation: str
    nodes: tuple[str, ...]
    reason: str


@dataclass
class FusionLog:
    """Collects both, in order, each once."""

    fused: list[Fusion] = field(default_factory=list)
    missed: list[NearMiss] = field(default_factory=list)

    def fuse(self, pattern: str, operation: AnyOperation) -> None:
        """Note that a form became an operation."""
        self.fused.append(Fusion(pattern, operation.name, operation.sources))

    def miss(self, pattern: str, operation: AnyOperation, reason: str) -> None:
        """Note that an operation does not end a form, and why."""
        entry = NearMiss(pattern, operation.name, operation.sources, reason)
        if entry not in self.missed:
            self.missed.append(entry)
