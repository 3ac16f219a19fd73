"""Changes of shape and order of the same numbers, for constants and for streams.

Source: ONNX Transpose, Reshape, Flatten, Squeeze, Unsqueeze, Expand, Identity, Dropout, Shape, Size.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from itertools import chain

import numpy as np

from edgernn.importers.onnx.graph.node import Node
from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.framing import stacked, stackings
from edgernn.importers.onnx.search.axes import WrongAxisError
from edgernn.importers.onnx.streams.dimension import Dimension, Extent, divide, extents_array, product
from edgernn.importers.onnx.streams.timing import EVERY_FRAME
from edgernn.importers.onnx.streams.values import (
    Axis,
    Constant,
    Factor,
    Role,
    Signal,
    Tensor,
    axis_of,
    check_constant_shape,
    check_step_shape,
    has_role,
    is_features,
    width_of,
)


def identity(call: Call) -> Results:
    """Identity, and Dropout at inference."""
    call.node.ignore("ratio", "seed")
    if call.has(2) and call.array(2, "training_mode").any():
        raise call.node.unsupported("is in training mode: export the model in evaluation mode (model.eval())")
    return (call.tensor(0),)


def shape(call: Call) -> Results:
    """Shape; unknown lengths stay unknown."""
    extents = call.tensor(0).extents
    start = call.node.integer("start", 0)
    end = call.node.integer("end", len(extents))
    return (Constant.of(extents_array(extents[start:end])),)


def size(call: Call) -> Results:
    """Size."""
    (number,) = extents_array([product(call.tensor(0).extents)])
    return (Constant.of(np.array(number, object if isinstance(number, Dimension) else np.int64)),)


def transpose(call: Call) -> Results:
    """Transpose."""
    x = call.tensor(0)
    order = call.node.integers("perm")
    if order is None:
        order = list(range(x.rank))[::-1]
    if sorted(order) != list(range(x.rank)):
        raise call.node.malformed(f"permutes the axes {order} of a tensor that has {x.rank}")
    return (x.moved(tuple(x.axes[axis] for axis in order), x.elements.transpose(order)),)


def squeeze(call: Call) -> Results:
    """Squeeze; without axes it drops all that are known to be one."""
    x = call.tensor(0)
    axes = call.axes(1)
    if axes is None:
        dropped = {axis for axis in range(x.rank) if not x.axes[axis]}
    else:
        dropped = {x.reversed_axis(axis) for axis in axes}
    for axis in dropped:
        _check_droppable(call.node, x.axes[axis])
    return (_regrouped(x, [axis for i, axis in enumerate(x.axes) if i not in dropped]),)


def _check_droppable(node: Node, axis: Axis) -> None:
    if has_role(axis, Role.TIME):
        raise WrongAxisError(f"{node!r} squeezes the time axis, which is longer than one")
    if any(not isinstance(factor.extent, Dimension) for factor in axis):
        raise node.malformed(f"squeezes an axis of {math.prod(factor.extent for factor in axis)}")


def unsqueeze(call: Call) -> Results:
    """Unsqueeze."""
    x, axes = call.tensor(0), call.axes(1)
    if not axes:
        raise call.node.malformed("has no axes")
    rank = x.rank + len(axes)
    places = {axis % rank for axis in axes if -rank <= axis < rank}
    if len(places) != len(axes):
        raise call.node.malformed(f"inserts axes {axes}, which repeat or do not exist")
    kept = iter(x.axes)
    return (_regrouped(x, [() if place in places else next(kept) for place in range(rank)]),)


def flatten(call: Call) -> Results:
    """Flatten to two axes."""
    x, axis = call.tensor(0), call.node.integer("axis", 1)
    if not -x.rank <= axis <= x.rank:
        raise call.node.malformed(f"flattens at axis {axis} of a tensor that has {x.rank}")
    split = axis % x.rank if axis < 0 else axis
    axes = [merged(list(chain.from_iterable(part))) for part in (x.axes[:split], x.axes[split:])]
    return (_regrouped(x, axes),)


def reshape(call: Call) -> Results:
    """Reshape; time and batch stay whole factors of the new axes."""
    x, targets = call.tensor(0), call.extents(1, "shape")
    if not call.node.integer("allowzero", 0):
        targets = [x.extents[i] if target == 0 and i < x.rank else target for i, target in enumerate(targets)]
    factors = merged(list(chain.from_iterable(x.axes)))
    framed = _framed(call, x, factors, targets)
    if framed is not None:
        return (framed,)
    axes = _regroup_half_baked(factors, targets)
    if axes is None:
        targets = _with_inferred(call.node, product(factor.extent for factor in factors), targets)
        axes = regroup(factors, targets)
    if axes is None:
        axes = _regroup_baked(factors, targets)
    if axes is None:
        before, after = (", ".join(map(str, extents)) for extents in (x.extents, targets))
        if any(factor.role is not Role.FEATURE for factor in factors):
            raise WrongAxisError(
                f"{call.node!r} reshapes ({before}) to ({after}), which mixes time or batch with other axes: such a "
                "model computes with several frames at once; export it so that frames stay apart"
            )
        raise call.node.malformed(f"reshapes ({before}) to ({after})")
    return (_regrouped(x, axes),)


def _framed(call: Call, x: Tensor, factors: Axis, targets: list[Extent]) -> Tensor | None:
    """A Reshape that stacks frames, which nothing else can explain; None where it does not."""
    rest = divide(product(factor.extent for factor in factors), product(target for target in targets if target != -1))
    explained = rest is not None and regroup(factors, [rest if target == -1 else target for target in targets])
    if explained or _regroup_half_baked(factors, targets) or (-1 not in targets and _regroup_baked(factors, targets)):
        return None
    for count, split, known in stackings(call, x, targets, factors):
        axes = regroup(split, known)
        if axes is not None:
            assert isinstance(x, Signal)
            return _regrouped(stacked(call.builder, x, count), axes)
    return None


def _with_inferred(node: Node, total: Extent, targets: list[Extent]) -> list[Extent]:
    """The targets with -1 replaced."""
    places = [i for i, target in enumerate(targets) if target == -1]
    if len(places) > 1 or any(isinstance(target, int) and target < 1 and target != -1 for target in targets):
        raise node.malformed(f"has the shape {targets}")
    if not places:
        return targets
    inferred = divide(total, product(target for target in targets if target != -1))
    if inferred is None:
        raise node.malformed(f"reshapes {total} numbers to the shape {targets}")
    return [inferred if target == -1 else target for target in targets]


def merged(factors: Sequence[Factor]) -> Axis:
    """The factors with adjacent features made one."""
    result: list[Factor] = []
    for factor in factors:
        if result and factor.role is Role.FEATURE and result[-1].role is Role.FEATURE:
            result[-1] = Factor(Role.FEATURE, product((result[-1].extent, factor.extent)))
        else:
            result.append(factor)
    return tuple(result)


def regroup(factors: Axis, targets: Sequence[Extent]) -> list[Axis] | None:
    """Share out the factors, in their order, over axes of the extents `targets`; None where that is impossible.

    Only features can be split; time and batch cannot.

    Examples
    --------
    >>> time, six = Factor(Role.TIME, 25), Factor(Role.FEATURE, 6)
    >>> [len(axis) for axis in regroup((time, six), [25, 2, 3])]
    [1, 1, 1]
    >>> regroup((time, six), [5, 30]) is None
    True
    """
    waiting = deque(factors)
    axes = []
    for target in targets:
        axis: list[Factor] = []
        rest = target
        while rest != 1:
            if not waiting:
                return None
            factor = waiting.popleft()
            left = divide(rest, factor.extent)
            if left is None:
                kept = divide(factor.extent, rest) if factor.role is Role.FEATURE else None
                if kept is None:
                    return None
                waiting.appendleft(Factor(Role.FEATURE, kept))
                factor, left = Factor(Role.FEATURE, rest), 1
            axis.append(factor)
            rest = left
        axes.append(merged(axis))
    return None if waiting else axes


def _regroup_baked(factors: Axis, targets: Sequence[Extent]) -> list[Axis] | None:
    """Regroup where the model says that lengths are dynamic, but the shape holds the lengths of the exporter's example.

    The example's length of time or batch is what is left when the known factors are divided out.
    """
    unknown = [factor for factor in factors if isinstance(factor.extent, Dimension)]
    if not unknown or any(isinstance(target, Dimension) for target in targets):
        return None
    known = product(factor.extent for factor in factors if isinstance(factor.extent, int))
    left = divide(product(targets), known)
    if not isinstance(left, int) or len(unknown) > 2:
        return None
    firsts = [left] if len(unknown) == 1 else sorted({1, *(t for t in targets if isinstance(t, int) and left % t == 0)})
    for first in firsts:
        examples = iter((first, left // first))
        tried = [
            Factor(factor.role, next(examples) if isinstance(factor.extent, Dimension) else factor.extent)
            for factor in factors
        ]
        axes = regroup(tuple(factor for factor in tried if factor.extent != 1), targets)
        if axes is not None and len(unknown) == sum(f.role is not Role.FEATURE for axis in axes for f in axis):
            originals = {factor.role: factor for factor in unknown}
            return [tuple(originals.get(factor.role, factor) for factor in axis) for axis in axes]
    return None


def _regroup_half_baked(factors: Axis, targets: Sequence[Extent]) -> list[Axis] | None:
    """Regroup where both lengths are dynamic, one target is -1, and the shape holds the example's other length."""
    unknown = [factor for factor in factors if isinstance(factor.extent, Dimension)]
    fixed = [target for target in targets if target != -1]
    known = product(factor.extent for factor in factors if isinstance(factor.extent, int))
    left = divide(product(fixed), known) if len(unknown) == 2 and len(fixed) == len(targets) - 1 else None
    if not isinstance(left, int) or left < 2:
        return None
    for free, baked in (unknown, unknown[::-1]):
        tried = tuple(Factor(baked.role, left) if factor is baked else factor for factor in factors)
        axes = regroup(tried, [free.extent if target == -1 else target for target in targets])
        if axes is not None:
            return [tuple(baked if factor.role is baked.role else factor for factor in axis) for axis in axes]
    return None


def expand(call: Call) -> Results:
    """Expand, by copies."""
    x, targets = call.tensor(0), call.extents(1, "shape")
    rank = max(x.rank, len(targets))
    own = ((),) * (rank - x.rank) + x.axes
    axes = []
    for axis, target in zip(own, [*(1,) * (rank - len(targets)), *targets], strict=True):
        fits = not axis or not is_features(axis) or target in (1, width_of(axis))
        if not fits or (isinstance(target, int) and target < 1):
            raise call.node.malformed(f"expands to the shape {targets}")
        axes.append(axis if axis or target == 1 else _repeating_axis(call, x, target))
    if isinstance(x, Signal) and any(has_role(axis, Role.TIME) for axis in axes) and x.timing.time_invariant:
        x = x.timed(EVERY_FRAME)
    elif isinstance(x, Signal) and any(has_role(axis, Role.TIME) for axis in axes) and x.find(Role.TIME) is None:
        raise call.node.unsupported("repeats one frame or state for every time step: such a decoder is not supported")
    widths = tuple(width_of(axis) for axis in axes)
    check = check_constant_shape if isinstance(x, Constant) else check_step_shape
    check(widths, repr(call.node))
    own_widths = (1,) * (rank - x.rank) + x.elements.shape
    return (x.moved(tuple(axes), np.broadcast_to(x.elements.reshape(own_widths), widths)),)


def _repeating_axis(call: Call, x: Tensor, extent: Extent) -> Axis:
    """An axis along which a tensor is repeated; of an input without time that is time, where it is as long."""
    if isinstance(x, Signal) and x.timing.time_invariant and extent == call.builder.findings.steps:
        return (Factor(Role.TIME, extent),)
    return axis_of(extent)


def repeated_time_invariant(call: Call, x: Tensor, axis: int, count: Extent) -> Tensor | None:
    """An input without time repeated for each time step, along an axis of one; None where it is something else."""
    if not isinstance(x, Signal) or not x.timing.time_invariant or x.axes[axis]:
        return None
    time = _repeating_axis(call, x, count)
    if not has_role(time, Role.TIME) or width_of(time) > 1:
        return None
    return x.moved((*x.axes[:axis], time, *x.axes[axis + 1 :]), x.elements).timed(EVERY_FRAME)


def _regrouped(x: Tensor, axes: Sequence[Axis]) -> Tensor:
    return x.moved(tuple(axes), x.elements.reshape([width_of(axis) for axis in axes]))


def with_last_axis(x: Signal, axis: int) -> Signal:
    """The stream with an axis moved to the end."""
    order = [i for i in range(x.rank) if i != axis] + [axis]
    return x.moved(tuple(x.axes[i] for i in order), x.elements.transpose(order))


def with_axis_from_end(x: Signal, axis: int) -> Signal:
    """The opposite of `with_last_axis`."""
    order = [*range(axis), x.rank - 1, *range(axis, x.rank - 1)]
    return x.moved(tuple(x.axes[i] for i in order), x.elements.transpose(order))
