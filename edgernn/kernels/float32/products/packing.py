"""How weights are laid out for the kernels: in panels.

A panel belongs to `lanes` units (rows of the matrix), as many as a register of the kernel holds. It begins with the
bias and continues with one group for each column of the matrix; a group holds, for each gate, one register of weights:

    bias   gate 0: units 0 .. lanes-1 | gate 1: units 0 .. lanes-1 | ...
    x[0]   gate 0: units 0 .. lanes-1 | gate 1: units 0 .. lanes-1 | ...
    x[1]   ...

So a kernel reads a panel from beginning to end, once, and needs one number of x for each group. Units beyond the last
have weight 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def panel_lanes(units: int, gates: int, register_lanes: int) -> int:
    """Lanes of a panel: one, two or four processor registers a gate, whatever leaves the fewest lanes unused.

    A panel has at most eight registers in all gates together, so that its sums stay in registers.
    """
    widths = [width for width in (4, 2, 1) if width * gates <= 8]
    return register_lanes * min(widths, key=lambda width: -(-units // (width * register_lanes)) * width)


def pack_panels(matrix: Floats, bias: Floats | None, lanes: int) -> Floats:
    """Lay out the matrices of several gates.

    Parameters
    ----------
    matrix : ndarray of float32, (gates, units, columns)
    bias : ndarray of float32, (gates, units), or None for zeros
    lanes : int
        Units in a panel.

    Returns
    -------
    ndarray of float32, (panels, 1 + columns, gates, lanes)

    Examples
    --------
    >>> pack_panels(np.array([[[1, 2], [3, 4]]], np.float32), np.array([[5, 6]], np.float32), 2).tolist()
    [[[[5.0, 6.0]], [[1.0, 3.0]], [[2.0, 4.0]]]]
    """
    gates, units, columns = matrix.shape
    panels = -(-units // lanes)
    padded = np.zeros((gates, panels * lanes, 1 + columns), np.float32)
    padded[:, :units, 1:] = matrix
    if bias is not None:
        padded[:, :units, 0] = bias
    return np.ascontiguousarray(padded.reshape(gates, panels, lanes, 1 + columns).transpose(1, 3, 0, 2))


def pack_units(vectors: Floats, lanes: int) -> Floats:
    """Lay out one number a unit and gate, (gates, units), as (panels, gates, lanes)."""
    return pack_panels(vectors[:, :, np.newaxis][:, :, :0], vectors, lanes)[:, 0]


def pack_groups(weights: Floats, bias: Floats | None, lanes: int) -> Floats:
    """Lay out matrices that stand side by side, one for each group, in the order in which they are read.

    Parameters
    ----------
    weights : ndarray of float32, (outputs, inputs, groups)
    bias : ndarray of float32, (outputs, groups), or None for zeros
    lanes : int

    Returns
    -------
    ndarray of float32, (outputs, panels, 1 + inputs, lanes)
        Panels of `lanes` groups; the bias comes first.
    """
    outputs, inputs, groups = weights.shape
    panels = -(-groups // lanes)
    padded = np.zeros((outputs, 1 + inputs, panels * lanes), np.float32)
    padded[:, 1:, :groups] = weights
    if bias is not None:
        padded[:, 0, :groups] = bias
    return np.ascontiguousarray(padded.reshape(outputs, 1 + inputs, panels, lanes).transpose(0, 2, 1, 3))


def pack_single_panel(matrix: Floats, bias: Floats | None, rows: int, lanes: int) -> Floats:
    """Lay out a matrix of few rows: a register holds `rows` numbers of each of several columns.

    Parameters
    ----------
    matrix : ndarray of float32, (units, columns)
    bias : ndarray of float32, (units,), or None for zeros
    rows : int
        Power of two, not below `units`; those that there are not have weight 0.
    lanes : int
        Of a register.

    Returns
    -------
    ndarray of float32, (1 + registers, lanes / rows, rows)
        The first register holds the bias, in its first `rows` lanes.

    Examples
    --------
    >>> pack_single_panel(np.array([[1, 2, 3], [4, 5, 6]], np.float32), np.array([7, 8], np.float32), 2, 4).tolist()
    [[[7.0, 8.0], [0.0, 0.0]], [[1.0, 4.0], [2.0, 5.0]], [[3.0, 6.0], [0.0, 0.0]]]
    """
    units, columns = matrix.shape
    groups = lanes // rows
    packed = np.zeros((1 + -(-columns // groups), groups, rows), np.float32)
    packed[1:].reshape(-1, rows)[:columns, :units] = matrix.T
    if bias is not None:
        packed[0, 0, :units] = bias
    return packed
