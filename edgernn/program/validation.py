"""Checks of a whole program: names, shapes, states, orders and sizes, before anything is allocated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from numpy.typing import NDArray

from edgernn.errors import MalformedModelError
from edgernn.program.description import InputDescription, ProgramDescription, StateSlot
from edgernn.program.operations import (
    EVERY_STEP,
    MAX_ELEMENTS,
    AnyOperation,
    DelayLine,
    Int8RecurrentOperation,
    PutFrame,
    ReadState,
    RecurrentOperation,
    Repeat,
    Schedule,
    TakeFrame,
    Value,
    Weights,
    WriteState,
)
from edgernn.program.trees import MAX_LOOP_DEPTH, walk

MAX_OPERATIONS = 100_000
MAX_NAME = 512  # characters of a name
MAX_WINDOW_STEPS = 10_000_000
MAX_ITERATIONS = 1 << 28  # of a body of a step, in all the loops around it
NUMBER_TYPES = ("float32", "float64", "int8", "int16", "int32", "int64")  # of ports and states


def infer_values(description: ProgramDescription, weights: Weights) -> dict[str, Value]:
    """Type of every value by name, after checking all names, shapes, states and orders."""
    if not description.inputs or not description.outputs:
        raise MalformedModelError("a program needs at least one input and one output")
    _check_loop_depth(description.operations, 0)
    operations = tuple(walk(description.operations))
    if len(operations) > MAX_OPERATIONS:
        raise MalformedModelError(f"{len(operations)} operations, the most is {MAX_OPERATIONS}")
    _check_steps(description)
    _check_number_types(description)
    _check_names(description)
    _check_states(description, weights)
    values: dict[str, Value] = {}
    for port in description.inputs:
        if any(extent < 1 for extent in port.shape) or prod(port.shape) > MAX_ELEMENTS:
            raise MalformedModelError(f"input {port.name} has shape {port.shape}, it is empty or too large")
        values[port.name] = Value(port.shape, port.dtype)
    for operation in operations:
        missing = [name for name in operation.inputs if name not in values]
        if missing:
            raise operation.malformed(f"reads {missing[0]}, which no earlier operation writes")
        inputs = tuple(values[name] for name in operation.inputs)
        operation.expect_dtypes(inputs)
        if not operation.when.is_valid:
            raise operation.malformed("its schedule is out of range")
        results = operation.infer(inputs, weights)
        for name, value in zip(operation.outputs, results, strict=True):
            if name in values:
                raise operation.malformed(f"writes {name}, which is written already")
            if value.size > MAX_ELEMENTS:
                raise operation.malformed(f"writes {value.size} elements, the most is {MAX_ELEMENTS}")
            values[name] = value
        _check_regions(operation, description, weights)
    _check_write_order(description, weights)
    _check_loops(description.operations, values)
    _check_factors(description, values, weights)
    for output in description.outputs:
        if output.value not in values:
            raise MalformedModelError(f"output {output.name} reads {output.value}, which no operation writes")
        shape = values[output.value].shape
        if not 0 <= output.time_axis <= len(shape):
            raise MalformedModelError(f"output {output.name} has time axis {output.time_axis}, out of range")
        if output.frames != 1 and (output.time_axis == len(shape) or shape[output.time_axis] != output.frames):
            raise MalformedModelError(f"output {output.name} claims {output.frames} frames, but has the shape {shape}")
        window, when = description.window, output.when
        needed = when.first + 1 if when.at_end else when.period - when.extra
        if window is not None and not window.recomputed and window.steps < needed:
            raise MalformedModelError(
                f"a window of {window.steps} steps is too short for output {output.name}, whose first frame needs "
                f"{needed}: use a longer window"
            )
        if not output.when.is_valid or (output.when.at_end and output.per_frame):
            raise MalformedModelError(f"output {output.name} has a schedule that is out of range")
    _check_schedules(description)
    return values


def _check_steps(description: ProgramDescription) -> None:
    window, trained_steps = description.window, description.trained_steps
    counts = [("tail_steps", description.tail_steps, 0)]
    if window is not None:
        counts += [("window", window.steps, 1), ("hop", window.hop, 1)]
    if trained_steps is not None:
        counts += [("trained_steps", trained_steps, 1)]
    for name, steps, least in counts:
        if not least <= steps <= MAX_WINDOW_STEPS:
            raise MalformedModelError(f"{name} is {steps} steps, it must be from {least} to {MAX_WINDOW_STEPS}")


def _check_number_types(description: ProgramDescription) -> None:
    ports: tuple[InputDescription | StateSlot, ...] = (*description.inputs, *description.state)
    for typed in ports:
        if typed.dtype not in NUMBER_TYPES:
            raise MalformedModelError(f"{typed.name} holds {typed.dtype!r}, known are {', '.join(NUMBER_TYPES)}")


def _check_names(description: ProgramDescription) -> None:
    groups = {
        "input": [port.name for port in description.inputs],
        "output": [port.name for port in description.outputs],
        "state": [slot.name for slot in description.state],
        "operation": [operation.name for operation in walk(description.operations)],
    }
    for what, names in groups.items():
        for name in names:
            if not name or len(name) > MAX_NAME:
                raise MalformedModelError(f"{what} name {name[:40]!r} is empty or longer than {MAX_NAME} characters")
        if len(set(names)) != len(names):
            double = next(name for name in names if names.count(name) > 1)
            raise MalformedModelError(f"two {what}s are called {double!r}")


def _check_states(description: ProgramDescription, weights: Weights) -> None:
    for slot in description.state:
        if any(extent < 1 for extent in slot.shape) or slot.size > MAX_ELEMENTS:
            raise MalformedModelError(f"state {slot.name} has shape {slot.shape}, it is empty or too large")
        if slot.initial is not None:
            initial = weights.get(slot.initial)
            if initial is None or initial.shape != slot.shape or initial.dtype != slot.dtype:
                raise MalformedModelError(
                    f"state {slot.name}: its initial content {slot.initial} is missing or has another shape"
                )
        if slot.factors is not None:
            factors = _positive(weights, slot.factors, f"state {slot.name}")
            if factors.ndim != 1 or slot.size % factors.size:
                raise MalformedModelError(f"state {slot.name}: its factors {slot.factors} do not repeat along it")


def _check_factors(description: ProgramDescription, values: Mapping[str, Value], weights: Weights) -> None:
    for name, weight in description.factors.items():
        shape = _positive(weights, weight, f"value {name}").shape
        extents = values[name].shape if name in values else ()
        behind = extents[len(extents) - len(shape) :]
        if len(shape) > len(extents) or any(own not in (1, extent) for own, extent in zip(shape, behind, strict=True)):
            raise MalformedModelError(f"value {name}: its factors {weight} of shape {shape} do not fit {extents}")


def _positive(weights: Weights, name: str, of: str) -> NDArray[Any]:
    """The weight of factors."""
    factors = weights.get(name)
    if factors is None or factors.dtype != "float32" or not factors.size or not (factors > 0).all():
        raise MalformedModelError(f"{of}: its factors {name} are missing, or not float32 and above 0")
    return factors


def _check_regions(operation: AnyOperation, description: ProgramDescription, weights: Weights) -> None:
    slots = {slot.name: slot for slot in description.state}
    for region, size in operation.regions(weights):
        if region.slot not in slots:
            raise operation.malformed(f"uses state {region.slot}, which does not exist")
        if region.offset < 0 or region.offset + size > slots[region.slot].size:
            raise operation.malformed(
                f"uses elements {region.offset} to {region.offset + size - 1} of state {region.slot}, "
                f"which has {slots[region.slot].size}"
            )
    for field, (dtype, scale) in operation.state_values().items():
        slot = slots[getattr(operation, field).slot]
        if (slot.dtype, slot.scale) != (dtype, scale):
            raise operation.malformed(f"needs state {slot.name} to be {dtype} of scale {scale}, it is {slot.dtype}")


def _check_write_order(description: ProgramDescription, weights: Weights) -> None:
    """A state's old content must have been read by everyone who needs it before it is overwritten.

    A ReadState may follow a recurrent cell: that is how the new cell state of an Lstm becomes a value. One that says
    `latched` follows a write, and a write that says `begins` leaves no old content.
    """
    changed: dict[str, list[tuple[int, int, AnyOperation]]] = {}
    for operation in walk(description.operations):
        for region, size in operation.regions(weights):
            changes = changed.setdefault(region.slot, [])
            for start, stop, by in changes:
                overlaps = region.offset < stop and start < region.offset + size
                if overlaps and not _may_follow(operation, by):
                    raise operation.malformed(f"uses state {region.slot} after another operation has changed it")
            if operation.changes_state:
                changes.append((region.offset, region.offset + size, operation))


def _may_follow(operation: AnyOperation, change: AnyOperation) -> bool:
    """Whether an operation may use a state that another has changed in the same step."""
    if isinstance(operation, ReadState):
        is_new = isinstance(change, RecurrentOperation | Int8RecurrentOperation)
        return operation.latched or is_new or (isinstance(change, WriteState) and change.begins)
    return isinstance(change, WriteState) and change.begins


def _check_loop_depth(operations: Sequence[AnyOperation], depth: int) -> None:
    for operation in operations:
        if isinstance(operation, Repeat):
            if depth == MAX_LOOP_DEPTH:
                raise operation.malformed(f"stands in {depth} other loops, the most is {MAX_LOOP_DEPTH - 1}")
            _check_loop_depth(operation.body, depth + 1)


def _check_loops(
    operations: Sequence[AnyOperation], values: Mapping[str, Value], around: tuple[Repeat, ...] = ()
) -> None:
    """No body is empty, and who asks for an iteration stands in the body of its Repeat."""
    for operation in operations:
        if isinstance(operation, Repeat):
            inside = (*around, operation)
            if not operation.body:
                raise operation.malformed("has no operations in its body")
            if prod(loop.count for loop in inside) > MAX_ITERATIONS:
                raise operation.malformed(
                    f"repeats its body more than {MAX_ITERATIONS} times a step, with those around it"
                )
            _check_loops(operation.body, values, inside)
        elif isinstance(operation, TakeFrame | PutFrame):
            loop = next((loop for loop in around if loop.name == operation.loop), None)
            if loop is None:
                raise operation.malformed(f"asks for the round of {operation.loop}, outside of its body")
            frames = operation.count if isinstance(operation, PutFrame) else values[operation.inputs[0]].shape[0]
            if frames != loop.count:
                raise operation.malformed(f"has {frames} frames for {loop.count} rounds")


def _check_written(
    operations: Sequence[AnyOperation], written: dict[str, Schedule], tail_steps: int, around: Repeat | None = None
) -> None:
    """Each operation reads what was written in the same step; `written` learns when each value is."""
    for operation in operations:
        when = operation.when
        for name in operation.inputs:
            if not written[name].covers(when, tail_steps):
                raise operation.malformed(f"reads {name} in steps in which it is not written")
        if around is not None and not around.when.covers(when, tail_steps):
            raise operation.malformed(f"does not keep to the steps of {around.name}, whose body it is in")
        if isinstance(operation, Repeat):
            _check_written(operation.body, written, tail_steps, operation)
        if isinstance(operation, DelayLine):
            if not when.paces(operation.read):
                raise operation.malformed("gives taps in steps in which it takes no frame")
            when = operation.read
        written |= dict.fromkeys(operation.outputs, when)


def _check_schedules(description: ProgramDescription) -> None:
    """What an operation or an output reads was written in the same step, in each of its steps."""
    tail_steps = description.tail_steps
    written = {port.name: EVERY_STEP for port in description.inputs}
    _check_written(description.operations, written, tail_steps)
    for output in description.outputs:
        if not written[output.value].covers(output.when, tail_steps):
            raise MalformedModelError(f"output {output.name} comes in steps in which {output.value} is not written")
        recomputed = description.window is not None and description.window.recomputed
        if output.when.tail_steps > tail_steps and not recomputed:
            raise MalformedModelError(
                f"output {output.name} comes up to {output.when.tail_steps} steps behind the end of a sequence, the "
                f"tail has {tail_steps}"
            )
