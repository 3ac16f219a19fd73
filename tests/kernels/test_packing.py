"""Panels hold every weight at the place that their description says, and zeros elsewhere."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgernn.kernels.float32.products.packing import pack_panels, pack_units, panel_lanes


@given(gates=st.integers(1, 4), units=st.integers(1, 40), columns=st.integers(0, 9), lanes=st.sampled_from([2, 4, 8]))
def test_panels(gates: int, units: int, columns: int, lanes: int) -> None:
    matrix = np.arange(1, 1 + gates * units * columns, dtype=np.float32).reshape(gates, units, columns)
    bias = -np.arange(1, 1 + gates * units, dtype=np.float32).reshape(gates, units)
    panels = pack_panels(matrix, bias, lanes)
    for unit in range(units):
        panel, lane = divmod(unit, lanes)
        assert (panels[panel, 0, :, lane] == bias[:, unit]).all()
        assert (panels[panel, 1:, :, lane] == matrix[:, unit].T).all()
    assert np.count_nonzero(panels) == np.count_nonzero(matrix) + np.count_nonzero(bias)


def test_no_bias_is_zero() -> None:
    assert pack_panels(np.ones((1, 3, 2), np.float32), None, 4)[:, 0].any() == np.False_


def test_units() -> None:
    assert pack_units(np.array([[1, 2, 3], [4, 5, 6]], np.float32), 2).tolist() == [[[1, 2], [4, 5]], [[3, 0], [6, 0]]]


def test_lanes_leave_few_unused_and_fit_registers() -> None:
    assert panel_lanes(32, 3, 8) == 16
    assert panel_lanes(20, 3, 8) == 8
    assert panel_lanes(64, 1, 8) == 32
    assert panel_lanes(1, 1, 16) == 16
