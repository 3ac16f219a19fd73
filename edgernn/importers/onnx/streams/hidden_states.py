"""States that the graph hides: what recurrences, delays and running sums remember from step to step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.streams.names import Names
from edgernn.importers.onnx.streams.values import check_step_shape
from edgernn.importers.onnx.streams.weights import WeightStore
from edgernn.program.description import StateSlot
from edgernn.program.operations import StateRegion, Value


class HiddenStates:
    """Slots by name, in order.

    Parameters
    ----------
    weights : WeightStore
        Takes the contents after a reset that are not zero.
    """

    def __init__(self, weights: WeightStore) -> None:
        self.slots: dict[str, StateSlot] = {}
        self.names = Names()
        self._weights = weights

    def add(self, name: str, initial: NDArray[Any]) -> StateRegion:
        """A new state; `initial` is its content after a reset, (hidden_size,)."""
        slot = self.names.unique(name)
        dtype = initial.dtype.name
        start = self._weights.add(f"{slot}.initial", initial, dtype) if initial.any() else None
        self.slots[slot] = StateSlot(slot, initial.shape, dtype, initial=start)
        return StateRegion(slot)

    def add_ring(self, name: str, length: int, frame: Value, fill: float) -> tuple[StateRegion, StateRegion]:
        """States for the last `length` frames, all numbers of which are `fill` at first, and for the position."""
        check_step_shape((length, frame.size), f"the history {name}")
        region = self.add(name, np.full(length * frame.size, fill, frame.dtype))
        position = self.names.unique(f"{name}.position")
        self.slots[position] = StateSlot(position, (1,), "int32")
        return region, StateRegion(position)
