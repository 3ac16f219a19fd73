"""Extents of tensors while the lengths of time and batch are unknown: polynomials in both with integer coefficients."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import UnsupportedModelError

Powers: TypeAlias = tuple[int, int]  # of the number of time steps and of the batch size

MAX_TERMS = 32


class Dimension:
    """An extent that is not a plain number, such as the number of time steps, or 16 times the batch size.

    Arithmetic gives an `int` wherever the unknown lengths cancel. A division must have no remainder whatever the
    lengths are, else the model computes something that this package cannot follow and is refused.

    Examples
    --------
    >>> TIME * 6 // 6 == TIME
    True
    >>> TIME + 3 - TIME
    3
    """

    __slots__ = ("_terms",)

    def __init__(self, terms: dict[Powers, int]) -> None:
        self._terms = terms

    def __add__(self, other: Extent) -> Extent:
        return _sum(_terms_of(self).items(), _terms_of(other).items())

    def __sub__(self, other: Extent) -> Extent:
        return self + other * -1

    def __rsub__(self, other: Extent) -> Extent:
        return self * -1 + other

    def __mul__(self, other: Extent) -> Extent:
        return _sum(
            ((a[0] + b[0], a[1] + b[1]), m * n) for a, m in _terms_of(self).items() for b, n in _terms_of(other).items()
        )

    __radd__ = __add__
    __rmul__ = __mul__

    def __floordiv__(self, other: Extent) -> Extent:
        quotient = divide(self, other)
        if quotient is None:
            raise UnsupportedModelError(
                f"the model divides the length {self} by {other}, which leaves a remainder for some lengths: export it "
                "with a frozen length"
            )
        return quotient

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dimension) and self._terms == other._terms

    def __hash__(self) -> int:
        return hash(frozenset(self._terms.items()))

    def __repr__(self) -> str:
        parts = []
        for powers, coefficient in self._terms.items():
            factors = [name for name, power in zip(("time", "batch"), powers, strict=True) for _ in range(power)]
            parts.append("*".join([str(coefficient), *factors] if coefficient != 1 or not factors else factors))
        return " + ".join(parts)


# typing.Union, because the other spelling does not take the name of a class that is not there yet
Extent: TypeAlias = Union[int, Dimension]  # noqa: UP007

TIME = Dimension({(1, 0): 1})
BATCH = Dimension({(0, 1): 1})


def _terms_of(extent: Any) -> dict[Powers, int]:
    return extent._terms if isinstance(extent, Dimension) else {(0, 0): int(extent)}


def _sum(*groups: Iterable[tuple[Powers, int]]) -> Extent:
    terms: dict[Powers, int] = {}
    for group in groups:
        for powers, coefficient in group:
            terms[powers] = terms.get(powers, 0) + coefficient
    terms = {powers: coefficient for powers, coefficient in terms.items() if coefficient}
    if len(terms) > MAX_TERMS:
        raise UnsupportedModelError(f"the model computes a length with more than {MAX_TERMS} terms")
    if set(terms) <= {(0, 0)}:
        return terms.get((0, 0), 0)
    return Dimension(terms)


def divide(extent: Extent, by: Extent) -> Extent | None:
    """The quotient, None where there is a remainder for some lengths, or where `by` is a sum."""
    if extent == by:
        return 1
    divisor = _terms_of(by)
    if len(divisor) != 1:
        return None
    ((powers, coefficient),) = divisor.items()
    quotient = {}
    for mine, count in _terms_of(extent).items():
        left = (mine[0] - powers[0], mine[1] - powers[1])
        if coefficient == 0 or count % coefficient or min(left) < 0:
            return None
        quotient[left] = count // coefficient
    return _sum(quotient.items())


def product(extents: Iterable[Extent]) -> Extent:
    """All extents multiplied; 1 for none."""
    return prod(extents, start=1)


def extents_array(extents: Iterable[Extent]) -> NDArray[Any]:
    """A vector of extents: int64 where all are numbers, else of objects."""
    listed = list(extents)
    if all(isinstance(extent, int) for extent in listed):
        return np.array(listed, np.int64)
    array = np.empty(len(listed), object)
    array[:] = listed
    return array
