"""Channels chosen from samples and brought to the model's scale, in float64, rounded once to float32.

Imports Numba: loaded only while kernels are compiled.
"""

from __future__ import annotations

import numpy as np

from edgernn.kernels.codegen.pointers import float32_at, float64_at, int64_at


def build():
    """``normalise(values, samples, width, columns, C, constants, X)``.

    Arguments, all but `samples`, `width` and `C` addresses::

        values     float64 (samples, width)
        columns    int64 (C,), which of the `width` numbers a channel is
        constants  float64 (3, C): scale, mean and std of each channel
        X          float32 (samples, C), written: ``(value * scale - mean) / std``

    The result is 1 if all of X is finite, else 0.
    """

    def normalise(values, samples, width, columns, C, constants, X):
        columns = int64_at(columns)
        scale, mean, std = float64_at(constants), float64_at(constants + 8 * C), float64_at(constants + 16 * C)
        finite = 1
        for sample in range(samples):
            row = float64_at(values + 8 * sample * width)
            x = float32_at(X + 4 * sample * C)
            for k in range(C):
                x[k] = (row[columns[k]] * scale[k] - mean[k]) / std[k]
                if not np.isfinite(x[k]):
                    finite = 0
        return finite

    return normalise
