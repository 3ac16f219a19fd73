"""How a stream runs a model: continuously, on sliding windows, or with a reset every so many steps.

It is decided once, when a model is loaded, and stored in the Program. A causal model that was trained on windows must
not run for hours on a state that it never saw: scores of whole sequences of a trained length W are given on windows of
W steps, one every W // 4, unless metadata or the user say otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import msgspec

from edgernn.errors import InputError, MalformedModelError

if TYPE_CHECKING:
    from edgernn.program.description import ProgramDescription
    from edgernn.program.program import Program

MAX_STEPS = 10_000_000
RUNNING_KEY = "edgernn.running"  # entry of an ONNX model's metadata_props
WINDOWS_PER_LENGTH = 4  # windows that begin within the trained length
_TEXT = re.compile(r"continuous|windows (\d{1,8}) (\d{1,8})|reset (\d{1,8})")

CHANGED_BY = "--window W --hop N, --continuous and --reset-every N change that"

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


def default_running(description: ProgramDescription) -> Running:
    """How a stream runs a model of which nothing else is said."""
    window, trained_steps = description.window, description.trained_steps
    if window is not None and not window.recomputed:
        return Running("windows", window.steps, window.hop, description.mode_reason)
    if window is not None:
        hop = window.hop if window.hop > 1 else max(1, window.steps // WINDOWS_PER_LENGTH)
        return Running("windows", window.steps, hop, f"the model needs whole windows of {window.steps} steps")
    if trained_steps is None:
        return Running("continuous", reason="the model has no fixed sequence length")
    if description.outputs[0].per_frame:
        return Running("continuous", reason="the model has an output for each frame")
    hop = max(1, trained_steps // WINDOWS_PER_LENGTH)
    return Running("windows", trained_steps, hop, f"trained on sequences of {trained_steps} steps")


def chosen_running(
    program: Program,
    *,
    window: int | None = None,
    hop: int | None = None,
    continuous: bool = False,
    reset_every: int | None = None,
) -> Program:
    """The program with another way of running; without any choice as it is.

    Parameters
    ----------
    program : Program
    window, hop : int, optional
        Sliding windows. `hop` alone changes the distance of the windows that the program has anyway.
    continuous : bool
        Never reset.
    reset_every : int, optional
        Steps from one reset to the next.

    Raises
    ------
    InputError
        The choices exclude each other or do not fit the model.
    """
    if sum((window is not None or hop is not None, continuous, reset_every is not None)) > 1:
        raise InputError("window and hop, continuous and reset_every exclude each other: give one of them")
    try:
        if continuous or reset_every is not None:
            if program.window is not None:
                raise InputError(
                    f"the program runs on windows of {program.window.steps} steps ({program.description.mode_reason}): "
                    "load the model without window, continuous and reset_every do not fit it"
                )
            kind: Kind = "continuous" if continuous else "reset"
            return program.with_running(Running(kind, reset_every, reason="asked for"))
        if window is None and hop is not None:
            if program.running.kind != "windows":
                raise InputError(
                    f"hop is {hop}, but the model has no windows to hop ({program.running.reason}): give window as well"
                )
            return program.with_running(Running("windows", program.running.steps, hop, "asked for with hop"))
        if window is not None:
            return program.with_running(Running("windows", window, hop or 1, "asked for with window"))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(str(error)) from error
    return program


def as_run(program: Program) -> Program:
    """The program that streams run: on sliding windows where `program.running` says windows, else as it is.

    `edgernn.load` gives the step of the graph's own meaning. What a stream runs, what is measured, quantized, compared
    and exported is this program. Of one that is reset every n steps the operations are the same; who steps it resets it
    (`running.reset_steps`).

    Returns
    -------
    Program

    Raises
    ------
    MalformedModelError
        The windows are too short for an output, or of another length than a whole window that the program computes.

    Examples
    --------
    >>> import edgernn
    >>> from edgernn.demo import MODEL
    >>> str(edgernn.load(MODEL, window=100, hop=25).running)
    'windows of 100 steps, one every 25'
    """
    running, window = program.running, program.window
    if running.kind != "windows":
        return program
    assert running.steps is not None
    assert running.hop is not None
    if window is not None and (window.steps, window.hop) == (running.steps, running.hop):
        return program
    return program.with_window(running.steps, running.hop, running.reason).with_running(running)
