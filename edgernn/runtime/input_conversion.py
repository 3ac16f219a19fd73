"""What users give to a runner, as arrays of the right shape and number type."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import InputError, NonFiniteInputError
from edgernn.program.operations import Shape
from edgernn.runtime.lowering.table import Allocation

Array = NDArray[Any]


def by_input(given: Any, places: tuple[Allocation, ...]) -> Mapping[str, Any]:
    """What was given, by input name; a model with one input takes it bare, too.

    Raises
    ------
    InputError
        Names are missing or unknown.
    """
    names = [place.name for place in places]
    if not isinstance(given, Mapping):
        if len(names) > 1:
            raise InputError(f"the model has {len(names)} inputs: give a dict with {', '.join(names)}")
        return {names[0]: given}
    if set(given) != set(names):
        raise InputError(f"the dict holds {', '.join(map(str, given))}; the model's inputs are {', '.join(names)}")
    return given


def write_frame(given: Any, place: Allocation, target: Array) -> None:
    """Convert one frame of an input into the runner's memory. Whether it is finite is left to the caller.

    Raises
    ------
    InputError
        It is not of the frame's shape (but for axes of length 1) nor a vector of as many numbers, or holds no numbers.
    """
    numbers = _numbers(given, place)
    if not _fits(numbers.shape, place.shape):
        raise InputError(f"input {place.name} has shape {numbers.shape}, a frame of it is {place.shape}")
    target[...] = _converted(numbers.reshape(place.shape), place)


def expect_ids(name: str, ids: Array, rows: Array) -> None:
    """Check that ids (..., size) choose rows of tables of so many each, (size,); those below 0 count from the end.

    Raises
    ------
    InputError
        One does not.
    """
    outside = (ids < -rows) | (ids >= rows)
    if outside.any():
        *_, place = np.argwhere(outside)[0]
        count = int(rows[place])
        raise InputError(
            f"input {name} holds the id {ids[outside].flat[0]}; ids go from 0 to {count - 1}, or from -1 "
            f"to {-count} to count from the end; no state was touched"
        )


def counts(given: Any, place: Allocation) -> Array:
    """One frame of sensor counts, int32; those out of range become the nearest.

    Raises
    ------
    InputError
        It has another shape or holds no whole numbers.
    """
    numbers = _numbers(given, place)
    if numbers.dtype.kind == "f":
        raise InputError(f"input {place.name} holds {numbers.dtype}, sensor counts are integers")
    if not _fits(numbers.shape, place.shape):
        raise InputError(f"input {place.name} has shape {numbers.shape}, a frame of it is {place.shape}")
    limits = np.iinfo(np.int32)
    return np.clip(numbers, limits.min, limits.max).astype(np.int32).reshape(place.shape)


def columns(given: Any, places: tuple[Allocation, ...]) -> list[Array]:
    """All frames of each input, (T, *shape), contiguous. Whether they are finite is left to the caller.

    Raises
    ------
    InputError
        An input has another shape or holds no numbers, or the inputs differ in their number of time steps.
    """
    named = by_input(given, places)
    found = [_column(named[place.name], place) for place in places]
    if len({len(column) for column in found}) > 1:
        lengths = ", ".join(f"{place.name} {len(column)}" for place, column in zip(places, found, strict=True))
        raise InputError(f"the inputs differ in their number of time steps: {lengths}")
    return found


def non_finite(place: Allocation, numbers: Array, row: int | None = None) -> NonFiniteInputError:
    """The error for a frame that holds NaN or infinity."""
    where = f"input {place.name}" if row is None else f"input {place.name}, row {row},"
    return NonFiniteInputError(f"{where} is {numbers}, which is not finite; no state was touched")


def first_non_finite(place: Allocation, column: Array) -> NonFiniteInputError:
    """The error for a column that holds NaN or infinity; it names the first row."""
    row = int(np.argmin(np.isfinite(column).reshape(len(column), -1).all(axis=1)))
    return non_finite(place, column[row], row)


def is_column(array: Array, place: Allocation) -> bool:
    """Whether compiled code can read or write frames in this array as it is."""
    flags = array.flags
    return array.dtype == place.dtype and array.shape[1:] == place.shape and flags.c_contiguous and flags.aligned


def _column(given: Any, place: Allocation) -> Array:
    if type(given) is np.ndarray and given.ndim and is_column(given, place):
        return given
    numbers = _numbers(given, place)
    if numbers.ndim == 0 or not _fits(numbers.shape[1:], place.shape):
        raise InputError(
            f"input {place.name} has shape {numbers.shape}, it must be (time steps, ...) with frames of {place.shape}"
        )
    frames = numbers.reshape(len(numbers), *place.shape)
    return np.require(_converted(frames, place), place.dtype, ["C", "A"])


@lru_cache(maxsize=256)
def _fits(shape: Shape, frame_shape: Shape) -> bool:
    """Whether a shape is a frame's, or that of a vector with as many numbers; axes of length 1 do not count."""
    squeezed = [extent for extent in shape if extent != 1]
    return any(squeezed == [extent for extent in form if extent != 1] for form in (frame_shape, (prod(frame_shape),)))


def _converted(numbers: Array, place: Allocation) -> Array:
    """In the input's number type. A float that is too large becomes infinite; an integer has no such way out."""
    if place.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return numbers.astype(place.dtype, copy=False)
    limits = np.iinfo(place.dtype)
    with np.errstate(invalid="ignore"):
        whole = numbers.astype(np.int64)
    refused = (whole != numbers) | (whole < limits.min) | (whole > limits.max)
    if refused.any():
        raise InputError(
            f"input {place.name} holds {numbers[refused].flat[0]}; it takes whole numbers of type {place.dtype}"
        )
    return whole.astype(place.dtype)


def _numbers(given: Any, place: Allocation) -> Array:
    try:
        numbers = np.asarray(given)
    except ValueError as error:
        raise InputError(f"input {place.name} is no array: {error}") from error
    if numbers.dtype.kind not in "biuf":
        raise InputError(f"input {place.name} holds {numbers.dtype}, it must hold numbers")
    return numbers
