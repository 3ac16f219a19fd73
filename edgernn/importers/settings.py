"""What may be chosen when a model is loaded: the keywords of `edgernn.load`, and the same as one value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

import msgspec


class ImportChoices(TypedDict, total=False):
    """The keywords of `edgernn.load` that say how an ONNX graph is understood."""

    window: int | None
    hop: int
    time_axis: int | None
    states: Mapping[str, str] | None
    assume_torch_gru: bool
    attention_steps: int | None


class LoadChoices(ImportChoices, total=False):
    """The keywords of `edgernn.load`, which documents them."""

    fixed: Mapping[str, float | Sequence[float]] | None
    tail: Literal["step", "flush"] | None


class ImportSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Choices for one ONNX graph."""

    window: int | None = None
    hop: int = 1
    time_axis: int | None = None
    states: Mapping[str, str] | None = None
    assume_torch_gru: bool = False
    attention_steps: int | None = None


class LoadSettings(ImportSettings, frozen=True, kw_only=True):
    """Choices of one load."""

    fixed: Mapping[str, float | Sequence[float]] | None = None
    tail: Literal["step", "flush"] | None = None

    @property
    def of_onnx(self) -> tuple[str, ...]:
        """Names of the choices that were made and are for ONNX models only."""
        names = ("time_axis", "states", "fixed", "assume_torch_gru", "attention_steps")
        return tuple(name for name in names if getattr(self, name) not in (None, False))
