"""What a model says about itself: labels, channels, units, rate, normalisation and decision settings.

Metadata travels with a Program. In an ONNX file it lives in ``metadata_props`` under keys that begin with ``edgernn.``
(see `Metadata.from_properties`), in a program file in the JSON description.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from edgernn.errors import MalformedModelError
from edgernn.program.running import RUNNING_KEY

MAX_LABELS = 4096
_LISTS = {"labels", "channels", "units", "mean", "std"}
MAX_TEXT = 256  # characters of one label, channel or unit
PREFIX = "edgernn."
STATES_KEY = PREFIX + "states"  # which output feeds which state input; read by the importer


def _parse_property(key: str, text: str) -> Any:
    """The value of one entry: JSON, or plain text with commas where a list is meant."""
    name = key.removeprefix(PREFIX)
    if name in _LISTS and not text.lstrip().startswith("["):
        entries = [entry.strip() for entry in text.split(",")] if text.strip() else []
        text = f"[{','.join(entries)}]" if name in {"mean", "std"} else json.dumps(entries)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedModelError(f"metadata entry {key} is {text[:80]!r}, which is not JSON: {error}") from error


class DecisionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How scores become events. Steps are outputs of the model, which strides and windows make rarer than samples.

    Attributes
    ----------
    smoothing_steps : int
        Length of the moving average over the scores; 1 does not smooth.
    threshold : float
        Smoothed score from which a label is recognized, in (0, 1].
    release : float
        Smoothed score below which a recognized label ends, in [0, threshold].
    minimum_steps : int
        Outputs in a row in which a label must have the highest score before it makes an event.
    hold_off_steps : int
        Outputs after an event in which no other event is reported.
    nothing : str or None
        The label that never makes an event (rest, idle, background).
    """

    smoothing_steps: int = 1
    threshold: float = 0.5
    release: float = 0.4
    minimum_steps: int = 1
    hold_off_steps: int = 0
    nothing: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.smoothing_steps <= 100_000:
            raise ValueError(f"smoothing_steps is {self.smoothing_steps}, it must be from 1 to 100000")
        if not 0.0 < self.threshold <= 1.0:
            raise ValueError(f"threshold is {self.threshold}, it must be above 0 and at most 1")
        if not 0.0 <= self.release <= self.threshold:
            raise ValueError(f"release is {self.release}, it must be from 0 to the threshold ({self.threshold})")
        if not 1 <= self.minimum_steps <= 1_000_000:
            raise ValueError(f"minimum_steps is {self.minimum_steps}, it must be from 1 to 1000000")
        if not 0 <= self.hold_off_steps <= 1_000_000_000:
            raise ValueError(f"hold_off_steps is {self.hold_off_steps}, it must be from 0 to 1000000000")


class Metadata(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model says about itself. Every field may be absent.

    Attributes
    ----------
    labels : tuple of str
        Names of the scores of the first output.
    channels : tuple of str
        Names of the numbers in one sample, in the model's order.
    units : tuple of str
        Units of the channels, as many as channels.
    rate_hz : float or None
        Samples a second that the model was trained at.
    mean, std : tuple of float
        The stream feeds ``(x - mean) / std``; empty where the model normalises by itself.
    window_steps : int or None
        Length of the windows that the model was trained on.
    decision : DecisionSettings
        How scores become events.
    """

    labels: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    rate_hz: float | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    window_steps: int | None = None
    decision: DecisionSettings = DecisionSettings()

    def __post_init__(self) -> None:
        for field, texts in (("labels", self.labels), ("channels", self.channels), ("units", self.units)):
            if len(texts) > MAX_LABELS or any(len(text) > MAX_TEXT for text in texts):
                raise ValueError(f"{field}: at most {MAX_LABELS} entries of {MAX_TEXT} characters")
        for field, texts in (("labels", self.labels), ("channels", self.channels)):
            if len(set(texts)) != len(texts):
                raise ValueError(f"{field} has a duplicate entry: {', '.join(texts)}")
        if self.units and self.channels and len(self.units) != len(self.channels):
            raise ValueError(f"units has {len(self.units)} entries, channels has {len(self.channels)}")
        if self.rate_hz is not None and not 0.0 < self.rate_hz < 1e9:
            raise ValueError(f"rate_hz is {self.rate_hz}, it must be above 0")
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} entries, std has {len(self.std)}: both or neither are needed")
        if not all(abs(value) < 1e30 for value in self.mean):
            raise ValueError("mean holds a number that is not finite")
        if not all(1e-30 < value < 1e30 for value in self.std):
            raise ValueError("std holds a number that is not finite and above 0")
        if self.window_steps is not None and not 1 <= self.window_steps <= 10_000_000:
            raise ValueError(f"window_steps is {self.window_steps}, it must be from 1 to 10000000")
        if self.decision.nothing is not None and self.labels and self.decision.nothing not in self.labels:
            raise ValueError(f"decision.nothing is {self.decision.nothing!r}, which is not among the labels")

    @classmethod
    def from_properties(cls, properties: Mapping[str, str]) -> Metadata:
        """Read the ``edgernn.*`` entries of an ONNX model's ``metadata_props``.

        Values are JSON; a list may also be written as text with commas (``edgernn.labels = "left,right"``). Entries
        without the prefix are ignored, unknown ones with it are an error.

        Raises
        ------
        MalformedModelError
            An entry is unknown, is no JSON of the right type or is out of range.

        Examples
        --------
        >>> Metadata.from_properties({"edgernn.labels": "left,right", "edgernn.rate_hz": "50"}).labels
        ('left', 'right')
        """
        fields = {
            key.removeprefix(PREFIX): _parse_property(key, text)
            for key, text in properties.items()
            if key.startswith(PREFIX) and key not in (STATES_KEY, RUNNING_KEY)
        }
        return cls.from_fields(fields, where="metadata of the model")

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any], where: str) -> Metadata:
        """Build from plain values, turning every complaint into a `MalformedModelError` that says where it is from."""
        try:
            return msgspec.convert(fields, cls)
        except msgspec.ValidationError as error:
            raise MalformedModelError(f"{where}: {error}") from error

    def to_properties(self) -> dict[str, str]:
        """The entries for an ONNX model's ``metadata_props``; the opposite of `from_properties`."""
        plain = msgspec.to_builtins(self)
        default = msgspec.to_builtins(type(self)())
        return {PREFIX + name: json.dumps(value) for name, value in plain.items() if value != default[name]}
