"""Metadata read from and written to the entries of an ONNX file."""

from __future__ import annotations

from typing import Any

import pytest

from edgernn.errors import MalformedModelError
from edgernn.program.metadata import DecisionSettings, Metadata


def test_properties_round_trip() -> None:
    metadata = Metadata(
        labels=("rest", "wave, large"),
        channels=("ax", "ay"),
        units=("m/s2", "m/s2"),
        rate_hz=50.0,
        mean=(0.5, -1.0),
        std=(1.5, 2.0),
        window_steps=150,
        decision=DecisionSettings(smoothing_steps=5, threshold=0.7, release=0.5, nothing="rest"),
    )
    properties = metadata.to_properties()
    assert all(key.startswith("edgernn.") for key in properties)
    assert Metadata.from_properties(properties) == metadata
    assert Metadata().to_properties() == {}


def test_lists_may_be_plain_text_with_commas() -> None:
    metadata = Metadata.from_properties(
        {"edgernn.labels": "left, right", "edgernn.mean": "0.5,1", "edgernn.std": "1,2", "author": "somebody"}
    )
    assert (metadata.labels, metadata.mean, metadata.std) == (("left", "right"), (0.5, 1.0), (1.0, 2.0))


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({"edgernn.rate": "50"}, "unknown field `rate`"),
        ({"edgernn.rate_hz": "fast"}, "edgernn.rate_hz is 'fast'"),
        ({"edgernn.rate_hz": "-1"}, "above 0"),
        ({"edgernn.labels": "a,a"}, "duplicate entry: a"),
        ({"edgernn.mean": "1,x", "edgernn.std": "1,1"}, "edgernn.mean"),
        ({"edgernn.mean": "[1]"}, "both or neither"),
        ({"edgernn.mean": "1", "edgernn.std": "0"}, "above 0"),
        ({"edgernn.decision": '{"threshold": 2}'}, "threshold is 2"),
        ({"edgernn.decision": '{"release": 0.9}'}, "release is 0.9"),
        ({"edgernn.labels": "a,b", "edgernn.decision": '{"nothing": "c"}'}, "not among the labels"),
        ({"edgernn.window_steps": "0"}, "window_steps is 0"),
        ({"edgernn.labels": "[" * 100_000}, "not JSON"),
    ],
)
def test_wrong_entries_are_refused(properties: dict[str, Any], words: str) -> None:
    with pytest.raises(MalformedModelError, match=words):
        Metadata.from_properties(properties)
