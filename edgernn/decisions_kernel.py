"""The compiled half of the decisions; the specification is in `edgernn.decisions`."""

from __future__ import annotations

import numpy as np
from numba import njit

ONE = 32768.0
LARGEST = 2147483647.0


@njit(cache=True, nogil=True)
def decide(scores, rules, ring, sums, memory, found):
    """Decide on a block of scores.

    Parameters
    ----------
    scores : float64 (n, K)
    rules : int64 (5,)
        threshold, release, minimum_steps, hold_off_steps, index of the nothing label or -1.
    ring : int32 (smoothing_steps, K)
    sums : int64 (K,)
    memory : int64 (5,)
        outputs seen, recognised label, candidate, held, hold-off left.
    found : int64 (at least n, 4)
        For each decision: output, label, sum of scores in units of 2**-15, how many scores the sum is of.

    Returns
    -------
    int
        Number of decisions.
    """
    threshold, release, minimum_steps, hold_off_steps, nothing = rules
    seen, recognised, candidate, held, hold_off = memory
    smoothing_steps, K = ring.shape
    count = 0
    for output in range(scores.shape[0]):
        place = seen % smoothing_steps
        seen += 1
        m = min(seen, smoothing_steps)
        top = 0
        for k in range(K):
            score = np.floor(scores[output, k] * ONE + 0.5)
            q = np.int64(0) if np.isnan(score) else np.int64(min(max(score, -LARGEST), LARGEST))
            sums[k] += q - ring[place, k]
            ring[place, k] = q
            if sums[k] > sums[top]:
                top = k
        if recognised >= 0 and sums[recognised] < m * release:
            recognised = -1
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
        elif held >= minimum_steps and top != recognised:
            recognised = top
            hold_off = hold_off_steps
            found[count, 0] = output
            found[count, 1] = top
            found[count, 2] = sums[top]
            found[count, 3] = m
            count += 1
    memory[0] = seen
    memory[1] = recognised
    memory[2] = candidate
    memory[3] = held
    memory[4] = hold_off
    return count
