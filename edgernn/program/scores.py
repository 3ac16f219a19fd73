"""The scores that decisions are made on: which numbers of the first output, and whether they are probabilities."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from edgernn.program.operations import Shape
from edgernn.program.program import Program


class ScoreLayout(NamedTuple):
    """Where the scores of a frame are in the first output.

    Score k of frame j is number ``(k // inner) * frames * inner + j * inner + k % inner`` of the output.

    Attributes
    ----------
    shape : tuple of int
        Of one frame.
    frames : int
        Frames of one output: those of a window, or those that one step brings.
    axis : int
        Along which the output has the frames.
    inner : int
        Numbers from one frame to the next.
    newest_only : bool
        Of a window's frames only the last is decided on; otherwise each frame is.
    """

    shape: Shape
    frames: int
    axis: int
    inner: int
    newest_only: bool

    @property
    def size(self) -> int:
        """Scores in one frame."""
        return prod(self.shape)

    def place(self, k: int, frame: int) -> int:
        """Where a score is among the numbers of the output."""
        return k // self.inner * self.frames * self.inner + frame * self.inner + k % self.inner


def score_layout(program: Program) -> ScoreLayout:
    """Where the scores of a program are."""
    output, shape = program.description.outputs[0], program.outputs[0].shape
    newest_only = output.per_frame and program.window is not None
    if output.frames == 1 and not newest_only:
        return ScoreLayout(shape, 1, 0, prod(shape), False)
    axis = output.time_axis
    inside = shape[axis + 1 :]
    return ScoreLayout((*shape[:axis], *inside), shape[axis] if shape else 1, axis, prod(inside), newest_only)


def has_complement(size: int, labels: int) -> bool:
    """Whether one score stands for two labels: it is the probability of the second."""
    return size == 1 and labels == 2


def makes_probabilities(program: Program) -> bool:
    """Whether the first output can be decided on as it is; the one answer for streams and exported C."""
    return program.graph.ends_in_probabilities(program.description.outputs[0].value, program.weights, program.values)


def label_mismatch(program: Program, labels: tuple[str, ...]) -> str | None:
    """How the number of labels differs from that of the scores; None where they fit."""
    output, layout = program.outputs[0].name, score_layout(program)
    if len(labels) == layout.size or has_complement(layout.size, len(labels)):
        return None
    complaint = f"there are {len(labels)} labels, output {output} has {layout.size} scores"
    if layout.shape and len(labels) == layout.shape[-1]:
        complaint += (
            f", {prod(layout.shape[:-1])} rows of {layout.shape[-1]}: decisions need a single row, so export the model "
            "with the one that counts as its first output"
        )
    return complaint
