"""Reductions over all frames so far, in float64. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from math import isnan

from edgernn.kernels.codegen.pointers import float32_at, float64_at
from edgernn.kernels.codegen.simd import MAX_FLOAT32, inline, load_long, slot, store_long
from edgernn.kernels.float32.double import exp_of_negative
from edgernn.kernels.instructions import RunningReduceInstruction, RunningSoftmaxInstruction, slots

RUNNING_REDUCE = slots(RunningReduceInstruction)
RUNNING_SOFTMAX = slots(RunningSoftmaxInstruction)

COMBINE = {
    "Sum": inline(lambda total, x: total + x),
    "Mean": inline(lambda total, x: total + x),
    "Max": inline(lambda total, x: x if x > total or isnan(x) else total),
    "Min": inline(lambda total, x: x if x < total or isnan(x) else total),
}


def build(function):
    """The kernel of a RunningReduce, by its function, or of a RunningSoftmax, "Softmax"."""
    return running_softmax if function == "Softmax" else _running_reduce(COMBINE[function], function == "Mean")


def _running_reduce(combine, is_mean):
    def running_reduce(row, weights, state, arena):
        x, y, total = (
            float32_at(arena + slot(row, RUNNING_REDUCE.x)),
            float32_at(arena + slot(row, RUNNING_REDUCE.y)),
            float64_at(state + slot(row, RUNNING_REDUCE.total)),
        )
        count = load_long(state + slot(row, RUNNING_REDUCE.count)) + 1
        store_long(state + slot(row, RUNNING_REDUCE.count), count)
        for k in range(slot(row, RUNNING_REDUCE.size)):
            total[k] = combine(total[k], x[k])
            result = total[k] / count if is_mean else total[k]
            y[k] = max(-MAX_FLOAT32, min(MAX_FLOAT32, result)) if abs(result) > MAX_FLOAT32 else result
        return 0

    return running_reduce


def running_softmax(row, weights, state, arena):
    """An online softmax: sums are scaled down when a larger score comes."""
    scores, largest = (
        float32_at(arena + slot(row, RUNNING_SOFTMAX.scores)),
        float64_at(state + slot(row, RUNNING_SOFTMAX.largest)),
    )
    x, y = float32_at(arena + slot(row, RUNNING_SOFTMAX.x)), float32_at(arena + slot(row, RUNNING_SOFTMAX.y))
    total, weighted = (
        float64_at(state + slot(row, RUNNING_SOFTMAX.total)),
        float64_at(state + slot(row, RUNNING_SOFTMAX.weighted)),
    )
    size = slot(row, RUNNING_SOFTMAX.size)
    for group in range(slot(row, RUNNING_SOFTMAX.groups)):
        score = float(scores[group])
        larger = largest[group] if largest[group] > score else score
        decay, weight = exp_of_negative(largest[group] - larger), exp_of_negative(score - larger)
        largest[group] = larger
        total[group] = total[group] * decay + weight
        for k in range(group * size, (group + 1) * size):
            weighted[k] = weighted[k] * decay + weight * x[k]
            y[k] = weighted[k] / total[group]
    return 0
