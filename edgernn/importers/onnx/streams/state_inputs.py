"""Inputs of the graph that are states, and the recurrences that run on them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgernn.errors import UnsupportedModelError
from edgernn.importers.onnx.streams.values import Signal
from edgernn.program.operations import StateRegion


@dataclass(frozen=True)
class StateBinding:
    """A run of elements of a state input that a recurrence begins from, and the value that holds its last state."""

    state_input: str
    offset: int
    size: int
    last: str


class StateInputs:
    """Which inputs may be states, and what runs on them.

    Parameters
    ----------
    has_time : bool
        The graph is a whole sequence. Then only recurrences may read states, and only they may begin from one; in the
        graph of a single step, states are read and made freely.
    known : frozenset of str
        Inputs of the graph that are known to be states.

    Attributes
    ----------
    bindings : list of StateBinding
        Pieces of state inputs that recurrences run on.
    inputs : set of str
        Inputs of the graph that may be read as values.
    """

    def __init__(self, has_time: bool, known: frozenset[str]) -> None:
        self.has_time, self.known = has_time, known
        self.bindings: list[StateBinding] = []
        self.inputs: set[str] = set()

    def check_readable(self, base: str) -> None:
        """Refuse to read a state input of a sequence as it is."""
        if self.has_time and base in self.known:
            raise UnsupportedModelError(self.unreadable(base))

    def unreadable(self, base: str) -> str:
        """Why a state input of a sequence cannot be read as it is."""
        return (
            f"the state input {base} is read by more than the recurrence that it begins: export the model for one "
            "time step (time length 1), where states may be used freely; if it is no state, say so with states={}"
        )

    def can_bind(self, stream: Signal) -> bool:
        """Whether a stream is a run of elements of one input of the graph, which can be a state."""
        flat = stream.elements.ravel()
        is_run = len(stream.bases) == 1 and flat.size > 0 and bool((np.diff(flat) == 1).all())
        return is_run and stream.bases[0] in (self.known if self.has_time else self.inputs)

    def bind(self, stream: Signal, last: str) -> StateRegion | None:
        """The region of a state input that `stream` is, now owned by a recurrence whose last state is `last`.

        None if the stream is no run of elements of one input of the graph.
        """
        if not self.can_bind(stream):
            return None
        flat, base = stream.elements.ravel(), stream.bases[0]
        binding = StateBinding(base, int(flat[0]), flat.size, last)
        for other in self.bindings:
            overlaps = other.offset < binding.offset + binding.size and binding.offset < other.offset + other.size
            if other.state_input == base and overlaps:
                raise UnsupportedModelError(
                    f"the state input {base} begins two recurrences: give each layer a state of its own"
                )
        self.bindings.append(binding)
        return StateRegion(base, binding.offset)

    def set_last(self, number: int, last: str) -> None:
        """Say which value holds the last state of a binding, once it is known."""
        self.bindings[number] = replace(self.bindings[number], last=last)
