"""What a program file keeps as JSON: ports, states, operations and settings of one time step."""

from __future__ import annotations

from fractions import Fraction
from math import prod
from typing import Literal, TypeAlias

import msgspec

from edgernn.program.metadata import Metadata
from edgernn.program.operations import EVERY_STEP, AnyOperation, Schedule, Shape
from edgernn.program.running import WINDOWS_PER_LENGTH, Running

Mode: TypeAlias = Literal["continuous", "delayed", "windowed"]
Arithmetic: TypeAlias = Literal["float32", "int8"]


class Port(msgspec.Struct, frozen=True):
    """An input or output of one time step, as the user sees it.

    Attributes
    ----------
    name : str
        The name in the ONNX graph.
    shape : tuple of int
        Shape of one frame, time and batch removed; in windowed mode a per-frame output holds a whole window of frames.
    dtype : str
        NumPy name of the number type.
    rate : Fraction
        Frames for each time step.
    """

    name: str
    shape: Shape
    dtype: str = "float32"
    rate: Fraction = Fraction(1)

    @property
    def size(self) -> int:
        """Numbers in one frame."""
        return prod(self.shape)


class StateSlot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A named piece of memory that lasts from step to step.

    Attributes
    ----------
    name : str
        The model's state input, or ``<node's first output>.h`` and ``.c`` where the graph hides the state.
    shape : tuple of int
        The model's shape, batch removed.
    dtype : str
        NumPy name of the number type.
    initial : str or None
        Weight that holds the content after a reset, of the same shape; None for zeros.
    scale : float or None
        What an integer state is multiplied with to give the model's own units; None for float states.
    factors : str or None
        Weight of numbers that repeat along the slot, with which its content is multiplied, too, to give the model's own
        units: channels that were equalized.
    """

    name: str
    shape: Shape
    dtype: str = "float32"
    initial: str | None = None
    scale: float | None = None
    factors: str | None = None

    @property
    def size(self) -> int:
        """Numbers in the slot."""
        return prod(self.shape)


class InputDescription(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An input of the step: it writes the value of the same name."""

    name: str
    shape: Shape
    dtype: str = "float32"


class OutputDescription(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An output of the step.

    `per_frame` tells an output that the model has for each frame from one that belongs to the whole sequence.
    `time_axis` is where the graph has the time axis of a per-frame output once the batch is removed; it shapes the
    frames of a window. `when` says in which steps the output comes, `frames` how many frames of the graph each brings:
    above 1 the value has them along `time_axis`.
    """

    name: str
    value: str
    per_frame: bool
    time_axis: int = 0
    when: Schedule = EVERY_STEP
    frames: int = 1

    def window_shape(self, shape: Shape, steps: int) -> Shape:
        """What a staggered window of `steps` steps gives: all frames along the time axis, where there are several."""
        if not self.per_frame:
            return shape
        behind = self.time_axis + (self.frames > 1)  # a step's own frames are part of that axis
        return (*shape[: self.time_axis], self.when.frames(steps) * self.frames, *shape[behind:])


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sliding window: outputs come at t = steps - 1 + n * hop, each as from a fresh state.

    Of a model that reads its frames in order, copies of the state run staggered, and the work is spread evenly. A
    window that is `recomputed` is kept as frames, and the model runs over all of them when the window is full: its
    operations say so themselves (`Operation.when`), to the runner it is a program like any other.
    """

    steps: int
    hop: int
    recomputed: bool = False

    @property
    def copies(self) -> int:
        """States that run side by side, each begun `hop` steps after the one before."""
        return 1 if self.recomputed else -(-self.steps // self.hop)


class Equalization(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Channels between layers that were divided by factors before quantizing, ``range^a / weight^b`` of each.

    Attributes
    ----------
    writers, readers : tuple of str
        Operations, or inputs, with a row of weights for each channel, and operations with a column.
    range_exponent, weight_exponent : float
        Of the channel's largest number and of its largest weight as a part of the row's.
    error_before, error_after : float
        Power of what rounding takes from the products of the readers, as a part of theirs, added up.
    """

    writers: tuple[str, ...]
    readers: tuple[str, ...]
    range_exponent: float
    weight_exponent: float
    error_before: float
    error_after: float


class ProgramDescription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of a Program but its weights: what a program file keeps as JSON.

    Attributes
    ----------
    inputs, outputs, state, operations
        In order; operations run first to last, and a value is written before it is read.
    arithmetic : "float32" or "int8"
    mode_reason : str
        Why the model runs in its mode, for `inspect`.
    tail_steps : int
        Steps that follow the end of a sequence until the last frame has come.
    tail : "step" or "flush"
        Where an output of the whole sequence needs the tail: run it in each step on a copy of the state, or only when
        the stream is flushed.
    window : Window or None
        Present for windowed programs.
    trained_steps : int or None
        The sequence length frozen in the model or stated in its metadata.
    warnings : tuple of str
        What the importer wants a person to know.
    metadata : Metadata
    factors : dict of str to str
        By value, a weight that broadcasts to its shape: what its numbers must be multiplied with to be the model's own,
        where channels were equalized.
    equalized : tuple of Equalization
        How they were.
    fixed : dict of str to tuple of float, optional
        Inputs of the graph that were set for good when it was imported.
    running : Running, optional
        How a stream runs it; unset where `running_by_rule` decides.
    """

    inputs: tuple[InputDescription, ...]
    outputs: tuple[OutputDescription, ...]
    state: tuple[StateSlot, ...] = ()
    operations: tuple[AnyOperation, ...]
    arithmetic: Arithmetic = "float32"
    mode_reason: str = ""
    tail_steps: int = 0
    tail: Literal["step", "flush"] = "step"
    window: Window | None = None
    trained_steps: int | None = None
    warnings: tuple[str, ...] = ()
    metadata: Metadata = Metadata()
    factors: dict[str, str] = {}
    equalized: tuple[Equalization, ...] = msgspec.field(default=(), name="equalised")  # the file's name
    fixed: dict[str, tuple[float, ...]] | msgspec.UnsetType = msgspec.UNSET
    running: Running | msgspec.UnsetType = msgspec.UNSET

    def running_by_rule(self) -> Running:
        """How a stream runs the model where nothing else is said: on windows where it was trained on such."""
        window, trained_steps = self.window, self.trained_steps
        if window is not None and not window.recomputed:
            return Running("windows", window.steps, window.hop, self.mode_reason)
        if window is not None:
            hop = window.hop if window.hop > 1 else max(1, window.steps // WINDOWS_PER_LENGTH)
            return Running("windows", window.steps, hop, f"the model needs whole windows of {window.steps} steps")
        if trained_steps is None:
            return Running("continuous", reason="the model has no fixed sequence length")
        if self.outputs[0].per_frame:
            return Running("continuous", reason="the model has an output for each frame")
        hop = max(1, trained_steps // WINDOWS_PER_LENGTH)
        return Running("windows", trained_steps, hop, f"trained on sequences of {trained_steps} steps")
