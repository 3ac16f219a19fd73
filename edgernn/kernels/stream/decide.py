"""Scores to decisions in whole numbers; the specification is in `edgernn.stream.decisions`.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

import numpy as np

from edgernn.kernels.codegen.pointers import float64_at, inline, int32_at, int64_at

ONE = 32768.0
MAX_INT32 = 2147483647.0


@inline
def _whole(score):
    """A score in units of 2**-15, limited to 32 bits; 0 for a NaN."""
    scaled = score * ONE + 0.5
    if np.isnan(scaled):
        return np.int64(0)
    return np.int64(np.floor(min(max(scaled, -MAX_INT32), MAX_INT32)))


@inline
def _decide(scores, outputs, K, rules, ring, sums, memory, found):
    """Decide on a block of scores; see `build`."""
    smoothing_steps, threshold, release = rules[0], rules[1], rules[2]
    minimum_steps, hold_off_steps, nothing = rules[3], rules[4], rules[5]
    seen, recognized, candidate, held, hold_off = memory[0], memory[1], memory[2], memory[3], memory[4]
    count = 0
    for output in range(outputs):
        place = (seen % smoothing_steps) * K
        seen += 1
        m = min(seen, smoothing_steps)
        top = 0
        for k in range(K):
            q = _whole(scores[output * K + k])
            sums[k] += q - ring[place + k]
            ring[place + k] = q
            if sums[k] > sums[top]:
                top = k
        if recognized >= 0 and sums[recognized] < m * release:
            recognized = -1
        if top == nothing or sums[top] < m * threshold:
            candidate = -1
            held = 0
        elif top == candidate:
            held += 1
        else:
            candidate = top
            held = 1
        if hold_off > 0:
            hold_off -= 1
        elif held >= minimum_steps and top != recognized:
            recognized = top
            hold_off = hold_off_steps
            found[4 * count] = output
            found[4 * count + 1] = top
            found[4 * count + 2] = sums[top]
            found[4 * count + 3] = m
            count += 1
    memory[0], memory[1], memory[2], memory[3], memory[4] = seen, recognized, candidate, held, hold_off
    return count


def build():
    """``decide(scores, outputs, K, rules, ring, sums, memory, found)``: decide on a block of scores.

    Arguments, all but `outputs` and `K` addresses::

        scores   float64 (outputs, K)
        rules    int64 (6,): smoothing_steps, threshold, release, minimum_steps, hold_off_steps, nothing label or -1
        ring     int32 (smoothing_steps, K)
        sums     int64 (K,)
        memory   int64 (5,): outputs seen, recognized label, candidate, held, hold-off left
        found    int64 (outputs, 4): output, label, sum of its scores in units of 2**-15, how many the sum is of

    The result is the number of decisions.
    """

    def decide(scores, outputs, K, rules, ring, sums, memory, found):
        return _decide(
            float64_at(scores),
            outputs,
            K,
            int64_at(rules),
            int32_at(ring),
            int64_at(sums),
            int64_at(memory),
            int64_at(found),
        )

    return decide
