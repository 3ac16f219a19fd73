"""What the tests of byte streams share: splitting bytes, and feeding them piece by piece."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgernn.stream.formats.base import Format

# places to cut, as fractions of the length
cuts = st.lists(st.floats(0, 1, exclude_max=True), max_size=12)


def pieces(data: bytes, fractions: Iterable[float]) -> list[bytes]:
    """`data` cut at these fractions of its length."""
    places = sorted({0, *(int(fraction * len(data)) for fraction in fractions)})
    return [data[start:end] for start, end in zip(places, [*places[1:], len(data)], strict=True)]


def parse(parser: Format, parts: Iterable[bytes]) -> NDArray[np.float64]:
    """All samples (n, width) of the parts."""
    blocks = [samples.values.copy() for part in parts for samples in parser.feed(part)]
    return np.concatenate([np.zeros((0, parser.width)), *blocks])
