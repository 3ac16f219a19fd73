"""What a step operation declares, once: its inputs, outputs, weights and states, with shapes in symbols.

A shape is a tuple of axes. An axis is a number, a symbol, or a product of such: ``"2 * gates * hidden_size"``. A symbol
is an attribute of the operation or an extent that the first array with this symbol fixes. A symbol with a star,
``"*rows"``, stands for any number of axes; as a size it is the product of their extents.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple, TypeAlias

import msgspec

Shape: TypeAlias = tuple[int, ...]


class Attribute(str):
    """The name of the operation's attribute that holds what is declared: a number type, a scale or a shape."""

    __slots__ = ()


Symbols: TypeAlias = "tuple[str, ...] | Attribute"


class StateRegion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run of elements inside a state slot: `slot` is the slot's name, `offset` the first element, row-major."""

    slot: str
    offset: int = 0


class Operand(NamedTuple):
    """An input or an output of an operation.

    Attributes
    ----------
    name : str
        Its name in formulas, instructions and kernels.
    shape : tuple of str, or Attribute
        ``("*size",)`` is any shape.
    dtype : str, Attribute or None
        None: as the first input, with its scale.
    scale : float, Attribute or None
        Of an output in integers.
    many : bool
        The last input may come any number of times, but once at least.
    """

    name: str
    shape: Symbols = ("*size",)
    dtype: str | None = "float32"
    scale: float | Attribute | None = None
    many: bool = False


Operands: TypeAlias = tuple[Operand, ...]


class Weight(NamedTuple):
    """A field that names a weight, or is None where that is absent: its number type and shape."""

    shape: Symbols
    dtype: str = "float32"


class State(NamedTuple):
    """A field that holds a region of a state: number type, shape and scale, and whether the operation changes it."""

    dtype: str
    shape: Symbols
    scale: float | Attribute | None = None
    changes: bool = True


class Sizes:
    """The extents of an operation's symbols, which its arrays fix one after the other.

    Examples
    --------
    >>> from edgernn.program.operations import Softmax
    >>> sizes = Sizes(Softmax(name="s", inputs=("x",), outputs=("y",)))
    >>> sizes.fit(("*rows", "size"), (2, 3, 5))
    True
    >>> sizes["rows"], sizes["size"], sizes.shape(("*rows", "2 * size"))
    (6, 5, (2, 3, 10))
    """

    def __init__(self, operation: object) -> None:
        self._operation = operation
        self._known: dict[str, int | Shape] = {}

    def __getitem__(self, symbol: str) -> int:
        """The extent of a symbol; the product of the extents of one with a star."""
        extent = self._extent(symbol)
        if extent is None:
            raise KeyError(symbol)
        return extent if isinstance(extent, int) else prod(extent)

    def __contains__(self, symbol: str) -> bool:
        return self._extent(symbol) is not None

    def set(self, **extents: int | Shape) -> None:
        """Fix symbols that no declared shape fixes."""
        self._known |= extents

    def _extent(self, symbol: str) -> int | Shape | None:
        if symbol.isdigit():
            return int(symbol)
        if symbol in self._known:
            return self._known[symbol]
        attribute = getattr(self._operation, symbol, None)
        if isinstance(attribute, int) and not isinstance(attribute, bool):
            return attribute
        return attribute if isinstance(attribute, tuple) and all(type(each) is int for each in attribute) else None

    def symbols(self, shape: Symbols) -> tuple[str, ...]:
        """The axes of a declared shape, those that an attribute holds too."""
        return resolved(self._operation, shape) if isinstance(shape, Attribute) else shape

    def shape(self, declared: Symbols) -> Shape:
        """The numbers that a declared shape stands for."""
        shape: list[int] = []
        for axis in self.symbols(declared):
            extent = self._extent(axis[1:]) if axis.startswith("*") else None
            shape += extent if isinstance(extent, tuple) else [prod(self[factor] for factor in _factors(axis))]
        return tuple(shape)

    def size(self, declared: Symbols) -> int:
        """Elements of an array of a declared shape."""
        return prod(self.shape(declared))

    def fit(self, declared: Symbols, shape: Shape) -> bool:
        """Fix the symbols of a declared shape by that of an array; whether it agrees with what is known."""
        axes = self.symbols(declared)
        star = next((index for index, axis in enumerate(axes) if axis.startswith("*")), None)
        if star is None:
            return len(axes) == len(shape) and all(map(self._fit_axis, axes, shape))
        behind = len(axes) - star - 1
        if len(shape) < len(axes) - 1:
            return False
        end = len(shape) - behind
        inner = self._extent(axes[star][1:])
        if inner is None:
            self._known[axes[star][1:]] = shape[star:end]
        elif prod(shape[star:end]) != inner if isinstance(inner, int) else shape[star:end] != inner:
            return False
        return all(map(self._fit_axis, axes[:star], shape[:star])) and all(
            map(self._fit_axis, axes[star + 1 :], shape[end:])
        )

    def _fit_axis(self, axis: str, extent: int) -> bool:
        factors = _factors(axis)
        unknown = [factor for factor in factors if factor not in self]
        known = prod(self[factor] for factor in factors if factor in self)
        if not unknown:
            return known == extent
        if len(unknown) > 1 or known < 1 or extent % known:
            return False
        self._known[unknown[0]] = extent // known
        return True

    def text(self, declared: Symbols) -> str:
        """A declared shape for a message, with the numbers that are known."""
        axes = []
        for axis in self.symbols(declared):
            known = self._extent(axis[1:]) if axis.startswith("*") else None
            if isinstance(known, tuple):
                axes += [str(extent) for extent in known]
            elif axis.startswith("*"):
                axes.append("...")
            else:
                axes.append(" * ".join(str(self[factor]) if factor in self else factor for factor in _factors(axis)))
        return f"({', '.join(axes)}{',' if len(axes) == 1 else ''})"


def _factors(axis: str) -> list[str]:
    return axis.removeprefix("*").split(" * ")


def resolved(operation: object, declared: Any) -> Any:
    """What is declared, taken from the operation's attribute where it stands there."""
    return getattr(operation, declared) if isinstance(declared, Attribute) else declared
