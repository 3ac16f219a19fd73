"""Loop, Scan and If, and the sequences of tensors that loops collect.

A loop over time is the recurrence itself: its body becomes the step, what it carries the states. A loop over features,
of a frame or of a window, becomes a Repeat. Source: ONNX Loop, Scan, If, SequenceEmpty, SequenceInsert and
ConcatFromSequence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from edgernn.importers.onnx.graph.graph import Body
from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.iterations import Loop, in_time
from edgernn.importers.onnx.streams.dimension import INDEX, Dimension, Extent, extents_array
from edgernn.importers.onnx.streams.timing import InputDecidesError
from edgernn.importers.onnx.streams.values import (
    Constant,
    Frames,
    Signal,
    Tensor,
    extent_of,
)

ENDLESS = (1 << 31) - 1  # a count from which on only the condition ends a loop; exporters write 2^63 - 1, too
COMPARED = {  # whether the left operand is the greater one, and whether they must differ
    "Less": (False, True),
    "LessOrEqual": (False, False),
    "Greater": (True, True),
    "GreaterOrEqual": (True, False),
}


def loop(call: Call) -> Results:
    """Loop."""
    node = call.node
    body = call.body("body")
    carried = [call.tensor(2 + i) for i in range(len(node.inputs) - 2)]
    if len(body.inputs) != 2 + len(carried) or len(body.outputs) < 1 + len(carried):
        raise node.malformed("has a body that does not take and give what it carries")
    count = call.extents(0, "M")[0] if call.has(0) else ENDLESS
    if isinstance(count, int) and count >= ENDLESS:
        count = _count(call, body, carried)
    if call.has(1) and not _is_true(call.tensor(1)):
        raise node.unsupported("has a condition at its beginning that depends on the model's inputs, or is false")
    _check_condition(call, body, len(carried))
    passed = {i: tensor for i, tensor in enumerate(carried) if body.passes(body.outputs[1 + i], body.inputs[2 + i])}
    counters = {i: tensor for i, tensor in enumerate(carried) if i not in passed and _counts(call, body, i, tensor)}
    bound: dict[str, Tensor] = {body.inputs[0]: _number(INDEX), body.inputs[1]: Constant.of(np.array(True))}
    bound |= {body.inputs[2 + i]: tensor for i, tensor in passed.items()}
    for i, tensor in counters.items():
        bound[body.inputs[2 + i]] = _number(INDEX + int(tensor.elements.item()))
    states = [i for i in range(len(carried)) if i not in passed and i not in counters]
    frames = Loop(call, body, count, [carried[i] for i in states], body.outputs[1:])
    outputs = frames.run(bound, [body.inputs[2 + i] for i in states], [body.outputs[1 + i] for i in states])
    results: list[Tensor] = []
    for i, tensor in enumerate(carried):
        if i in passed:
            results.append(tensor)
        elif i in counters:
            _expect_counted(call, outputs(body.outputs[1 + i]), bound[body.inputs[2 + i]])
            results.append(_number(int(tensor.elements.item()) + count))
        else:
            results.append(frames.last(states.index(i)))
    results += [frames.collected(outputs(name), 0, False) for name in body.outputs[1 + len(carried) :]]
    frames.close()
    return tuple(results)


def scan(call: Call) -> Results:
    """Scan."""
    node = call.node
    body = call.body("body")
    inputs = node.integer("num_scan_inputs", 0)
    carried = len(node.inputs) - inputs
    scanned = [call.sequence(carried + i) for i in range(inputs)]
    if inputs < 1 or carried < 0 or len(body.inputs) != len(node.inputs) or len(body.outputs) < carried:
        raise node.malformed("has a body that does not take what it scans")
    given = len(body.outputs) - carried
    axes = [
        x.reversed_axis(axis) for x, axis in zip(scanned, node.integers("scan_input_axes") or [0] * inputs, strict=True)
    ]
    directions = node.integers("scan_input_directions") or [0] * inputs
    places = node.integers("scan_output_axes") or [0] * given
    output_directions = node.integers("scan_output_directions") or [0] * given
    count = extent_of(scanned[0].axes[axes[0]])
    frames = Loop(call, body, count, [call.tensor(i) for i in range(carried)], body.outputs, scanned)
    bound = {
        name: frames.frame(x, axis, bool(direction))
        for name, x, axis, direction in zip(body.inputs[carried:], scanned, axes, directions, strict=True)
    }
    outputs = frames.run(bound, body.inputs[:carried], body.outputs[:carried])
    results = [frames.last(i) for i in range(carried)]
    for name, place, direction in zip(body.outputs[carried:], places, output_directions, strict=True):
        results.append(frames.collected(outputs(name), place, bool(direction)))
    frames.close()
    return tuple(results)


def choice(call: Call) -> Results:
    """If, on a condition that is known."""
    if not isinstance(call.tensor(0), Constant):
        raise InputDecidesError(
            f"{call.node!r} chooses by {call.node.inputs[0]}, which depends on the model's inputs: set the input that "
            "decides with fixed={'NAME': VALUE} (--set NAME=VALUE), or export the model with Where instead of If"
        )
    call.node.ignore("then_branch", "else_branch")
    body = call.body("then_branch" if _is_true(call.tensor(0)) else "else_branch")
    read = call.run_body(body, {})
    return tuple(read(name) for name in body.outputs)


def _number(extent: Extent) -> Constant:
    (entry,) = extents_array([extent])
    return Constant.of(np.array(entry, object if isinstance(entry, Dimension) else np.int64))


def _is_true(tensor: Tensor) -> bool:
    return isinstance(tensor, Constant) and tensor.elements.dtype != object and bool(tensor.elements.all())


def _counts(call: Call, body: Body, number: int, tensor: Tensor) -> bool:
    """Whether a carried integer depends on nothing but itself, the iteration and constants."""
    is_integer = isinstance(tensor, Constant) and tensor.elements.size == 1 and tensor.elements.dtype.kind in "iu"
    return is_integer and _depends_on(call, body, body.outputs[1 + number], {body.inputs[0], body.inputs[2 + number]})


def _depends_on(call: Call, body: Body, output: str, allowed: set[str]) -> bool:
    """Whether an output of a body is computed from these of its inputs, and from constants, alone."""
    for name in body.sources(output):
        if name in body.inputs:
            if name not in allowed:
                return False
        elif not body.writes(name) and not isinstance(call.outer(name), Constant):
            return False
    return True


def _count(call: Call, body: Body, carried: Sequence[Tensor]) -> Extent:
    """How often a loop runs that its condition ends: it compares counters with numbers from outside."""
    bound: dict[str, Tensor] = {body.inputs[0]: _number(INDEX), body.inputs[1]: Constant.of(np.array(True))}
    for i, tensor in enumerate(carried):
        is_counter = _counts(call, body, i, tensor) and not body.passes(body.outputs[1 + i], body.inputs[2 + i])
        bound[body.inputs[2 + i]] = _number(INDEX + int(tensor.elements.item())) if is_counter else tensor
    limits = list(dict.fromkeys(_limits(call, body, bound, body.outputs[0], False)))
    if len(limits) == 1:
        return limits[0]
    numbers = [limit for limit in limits if isinstance(limit, int)]
    if not limits or len(numbers) < len(limits):
        raise call.node.unsupported("runs until its condition says otherwise: a stream needs a loop with a count")
    return min(numbers)


def _limits(call: Call, body: Body, bound: dict[str, Tensor], name: str, negated: bool) -> Iterator[Extent]:
    """For each comparison that must hold for the loop to go on, how many iterations there are at most."""
    node = body.writer(name)
    if node is None:
        return  # the condition of before, or a constant
    if node.operator == "Not":
        yield from _limits(call, body, bound, node.inputs[0], not negated)
    elif node.operator == ("Or" if negated else "And"):
        for part in node.inputs:
            yield from _limits(call, body, bound, part, negated)
    elif node.operator in COMPARED:
        is_greater, is_strict = COMPARED[node.operator]
        read = call.run_body(body, bound, node.inputs)
        left, right = (read(operand).elements.reshape(-1)[0] for operand in node.inputs)
        if is_greater != negated:  # not a < b is b <= a
            left, right = right, left
        gap = (right - left) + INDEX + (0 if is_strict != negated else 1)  # iteration i is followed where i < gap
        if isinstance(gap, Dimension) and gap.is_of_iteration:
            raise call.node.unsupported("has a condition on a counter that does not count the iterations by one")
        yield gap + 1 if isinstance(gap, Dimension) else max(1, int(gap) + 1)
    else:
        raise call.node.unsupported(f"ends by the operator {node.operator}: a stream needs a loop with a count")


def _expect_counted(call: Call, after: Tensor, before: Tensor) -> None:
    (new, old) = (tensor.elements.reshape(-1)[0] for tensor in (after, before))
    if not isinstance(after, Constant) or new != old + 1:
        raise call.node.unsupported("carries an integer that does not count the iterations by one")


def _check_condition(call: Call, body: Body, carried: int) -> None:
    """The loop must not end before its count: its condition may depend on nothing but counters and constants."""
    counters = {body.inputs[2 + i] for i in range(carried) if _counts(call, body, i, call.tensor(2 + i))}
    passed = {
        body.inputs[2 + i]
        for i in range(carried)
        if body.passes(body.outputs[1 + i], body.inputs[2 + i]) and isinstance(call.tensor(2 + i), Constant)
    }
    if not _depends_on(call, body, body.outputs[0], {*body.inputs[:2], *counters, *passed}):
        raise call.node.unsupported("may end before its count, by what it computes: a stream ends where it ends")


# ---- sequences of tensors


def sequence_empty(call: Call) -> Results:
    """SequenceEmpty: where a loop will collect its frames."""
    call.node.ignore("dtype")
    return (Frames((), np.zeros((), np.int64)),)


def sequence_insert(call: Call) -> Results:
    """SequenceInsert at the end: the frame of this round."""
    frames = call.tensor(0)
    if not isinstance(frames, Frames) or frames.item is not None or call.has(2):
        raise call.node.unsupported("collects frames in another way than one at the end in each iteration of a loop")
    return (replace(frames, item=call.tensor(1)),)


def concat_from_sequence(call: Call) -> Results:
    """ConcatFromSequence of what a loop over time has collected."""
    frames, axis = call.tensor(0), call.node.integer("axis", 0)
    if not isinstance(frames, Frames) or not isinstance(frames.item, Signal) or frames.count is None:
        raise call.node.unsupported("joins a sequence that no loop over time has collected")
    item, is_new = frames.item, call.node.integer("new_axis", 0)
    axis %= item.rank + 1 if is_new else item.rank
    if not is_new and item.axes[axis]:
        raise call.node.unsupported("joins frames along an axis that is longer than one")
    if frames.rows is not None:
        x = frames.rows
        if not is_new:
            x = x.moved((*x.axes[: axis + 1], *x.axes[axis + 2 :]), x.elements.squeeze(axis + 1))
        axes = (*x.axes[1 : axis + 1], x.axes[0], *x.axes[axis + 1 :])
        return (x.moved(axes, np.moveaxis(x.elements, 0, axis)),)
    if not is_new:
        item = item.moved((*item.axes[:axis], *item.axes[axis + 1 :]), item.elements.squeeze(axis))
    return (in_time(item, axis, frames.count),)
