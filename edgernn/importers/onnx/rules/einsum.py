"""Einsum of one or two operands: sums, then a product of matrices, all by moving axes. Source: ONNX Einsum."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from edgernn.importers.onnx.rules import over_time
from edgernn.importers.onnx.rules.call import Call, Results
from edgernn.importers.onnx.rules.dense import product
from edgernn.importers.onnx.rules.elementwise import emit_pair
from edgernn.importers.onnx.rules.layout import merged
from edgernn.importers.onnx.rules.reductions import require_features
from edgernn.importers.onnx.streams.values import Axis, Constant, Signal, Tensor, width_of


def einsum(call: Call) -> Results:
    """Einsum; letters that are in no other place than one operand are summed first."""
    tensors = [call.tensor(i) for i in range(len(call.inputs))]
    operands, output = _parsed(call, tensors)
    if len(tensors) == 1:
        result, letters = _summed(call, tensors[0], operands[0], output, call.output)
        return (_ordered(result, letters, output),)
    (a, own), (b, other) = (
        _summed(call, x, mine, output + others, call.inner("sum"))
        for x, mine, others in zip(tensors, operands, operands[::-1], strict=True)
    )
    shared = [letter for letter in own if letter in other]
    summed = [letter for letter in shared if letter not in output]
    stack = [letter for letter in shared if letter in output]
    left, right = ([letter for letter in letters if letter not in shared] for letters in (own, other))
    a, b = _ordered(a, own, stack + left + summed), _ordered(b, other, stack + summed + right)
    axes = [*a.axes[: len(stack) + len(left)], *b.axes[len(stack) + len(summed) :]]
    if summed:
        y = product(
            call,
            _grouped(a, [1] * len(stack), [len(left), len(summed)]),
            _grouped(b, [1] * len(stack), [len(summed), len(right)]),
            1.0,
            call.output,
        )
        axes[: len(stack)] = y.axes[: len(stack)]
    else:
        a = a.moved((*a.axes, *((),) * len(right)), a.elements.reshape(*a.elements.shape, *(1,) * len(right)))
        places = (*b.elements.shape[: len(stack)], *(1,) * len(left), *b.elements.shape[len(stack) :])
        b = b.moved((*b.axes[: len(stack)], *((),) * len(left), *b.axes[len(stack) :]), b.elements.reshape(places))
        y = emit_pair(call, "Mul", a, b, call.output)
        axes = list(y.axes)
    y = y.moved(tuple(axes), y.elements.reshape([width_of(axis) for axis in axes]))
    return (_ordered(y, stack + left + right, output),)


def _parsed(call: Call, tensors: Sequence[Tensor]) -> tuple[list[list[str]], list[str]]:
    """The letters of each operand and of the output; those of an ellipsis are numbers."""
    node = call.node
    equation = node.word("equation", "").replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if not 1 <= len(tensors) <= 2:
        raise node.unsupported(f"has {len(tensors)} operands: only one or two are supported; multiply them in turn")
    if len(terms) != len(tensors):
        raise node.malformed(f"has the equation {equation!r} for {len(tensors)} operands")
    longest = max([x.rank - len(term) + 3 for x, term in zip(tensors, terms, strict=True) if "..." in term], default=0)
    letters = [_letters(term, x.rank - len(term) + 3, longest) for x, term in zip(tensors, terms, strict=True)]
    everything = list(chain.from_iterable(letters))
    if not arrow:
        once = sorted(letter for letter in everything if letter.isalpha() and everything.count(letter) == 1)
        output = _letters("...", longest, longest) + once
    else:
        output = _letters(right, longest, longest)
    for x, mine in zip(tensors, letters, strict=True):
        if len(mine) != x.rank or len(set(output)) != len(output) or not set(output) <= set(everything):
            raise node.malformed(f"has the equation {equation!r}, which does not fit its operands")
        if len(set(mine)) != len(mine):
            raise node.unsupported("takes a diagonal, a letter twice in one operand: only products and sums are known")
    return letters, output


def _letters(term: str, count: int, longest: int) -> list[str]:
    before, dots, behind = term.partition("...")
    return [*before, *(str(i) for i in range(longest - count, longest) if dots), *behind]


def _summed(call: Call, x: Tensor, letters: list[str], kept: Sequence[str], output: str) -> tuple[Tensor, list[str]]:
    """The sum over the letters that nobody needs."""
    axes = [i for i, letter in enumerate(letters) if letter not in kept]
    rest = [letter for letter in letters if letter in kept]
    if not axes:
        return x, letters
    places = tuple(axis for i, axis in enumerate(x.axes) if i not in axes)
    if isinstance(x, Constant):
        return x.moved(places, x.elements.sum(tuple(axes))), rest
    assert isinstance(x, Signal)
    require_features(call, x, axes)
    y = over_time.over_features(call, call.stream(call.inputs.index(x)), axes, "Sum", output)
    return y.moved(places, y.elements.squeeze(tuple(axes))), rest


def _ordered(x: Tensor, letters: list[str], order: list[str]) -> Tensor:
    places = [letters.index(letter) for letter in order]
    return x.moved(tuple(x.axes[i] for i in places), x.elements.transpose(places))


def _grouped(x: Tensor, front: list[int], back: list[int]) -> Tensor:
    """Neighbouring axes made one."""
    axes: list[Axis] = []
    waiting = iter(x.axes)
    for count in front + back:
        axes.append(merged(list(chain.from_iterable(next(waiting) for _ in range(count)))))
    return x.moved(tuple(axes), x.elements.reshape([width_of(axis) for axis in axes]))
