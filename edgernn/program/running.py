"""How a stream runs a model: continuously, on sliding windows, or with a reset every N steps.

It is decided once, when a model is loaded, and stored in the Program. A causal model that was trained on windows must
not run for hours on a state that it never saw: scores of whole sequences of a trained length W are given on windows of
W steps, one every W // 4, unless metadata or the user say otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from edgernn.errors import MalformedModelError

MAX_STEPS = 10_000_000
RUNNING_KEY = "edgernn.running"  # entry of an ONNX model's metadata_props
WINDOWS_PER_LENGTH = 4  # windows that begin within the trained length
_TEXT = re.compile(r"continuous|windows (\d{1,8}) (\d{1,8})|reset (\d{1,8})")

Kind = Literal["continuous", "windows", "reset"]


class Running(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a stream runs a model.

    Attributes
    ----------
    kind : "continuous", "windows" or "reset"
    steps : int or None
        Length of a window, or steps from one reset to the next.
    hop : int or None
        Steps from one window to the next.
    reason : str
        Why, as a sentence part: "trained on 128 steps".
    """

    kind: Kind
    steps: int | None = None
    hop: int | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        needed = {"continuous": (False, False), "windows": (True, True), "reset": (True, False)}[self.kind]
        if (self.steps is not None, self.hop is not None) != needed:
            raise ValueError(f"running {self.kind} has steps {self.steps} and hop {self.hop}")
        for name, steps in (("steps", self.steps), ("hop", self.hop)):
            if steps is not None and not 1 <= steps <= MAX_STEPS:
                raise ValueError(f"running {self.kind}: {name} is {steps}, it must be from 1 to {MAX_STEPS}")

    def __str__(self) -> str:
        match self.kind:
            case "continuous":
                return "continuous"
            case "reset":
                return f"reset every {self.steps} steps"
        return f"windows of {self.steps} steps, one every {self.hop}"

    @property
    def reset_steps(self) -> int | None:
        """Steps from one reset to the next, None without resets."""
        return self.steps if self.kind == "reset" else None


def running_from_properties(properties: Mapping[str, str]) -> Running | None:
    """The entry ``edgernn.running`` of a model: ``continuous``, ``windows 128 32`` or ``reset 100``; None without it.

    Raises
    ------
    MalformedModelError
        The entry has another form or a number is out of range.

    Examples
    --------
    >>> str(running_from_properties({"edgernn.running": "windows 128 32"}))
    'windows of 128 steps, one every 32'
    """
    if (text := properties.get(RUNNING_KEY)) is None:
        return None
    found = _TEXT.fullmatch(text.strip().strip('"'))
    if found is None:
        raise MalformedModelError(
            f"metadata entry {RUNNING_KEY} is {text[:80]!r}, it must be 'continuous', "
            "'windows STEPS HOP' or 'reset STEPS'"
        )
    window, hop, reset = (None if digits is None else int(digits) for digits in found.groups())
    kind: Kind = "windows" if window is not None else "reset" if reset is not None else "continuous"
    try:
        return Running(kind, window if window is not None else reset, hop, "the model's metadata say so")
    except ValueError as error:
        raise MalformedModelError(f"metadata entry {RUNNING_KEY}: {error}") from error
