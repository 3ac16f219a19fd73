"""Models made after public reports (tests/models/reported/README.md), beside onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from streaming_oracle import largest_difference

from edgernn.errors import UnsupportedModelError
from edgernn.importers.onnx.importer import import_model

MODELS = Path(__file__).parents[1] / "models" / "reported"
ALONG_TIME = ["tm_dyn", "tm_leg", "cmvn_dyn", "pc_dyn", "ap_leg", "tc_GRU_forward", "tc_LSTM_last", "tc_conv_causalpad"]
ALONG_TIME += ["tc_cumsum", "tc_softmax_time"]


@pytest.mark.parametrize("name", ALONG_TIME)
def test_constants_along_time_stream_as_the_graph_on_every_prefix(name: str) -> None:
    model = onnx.load(MODELS / f"{name}.onnx")
    x = np.random.default_rng(0).standard_normal((24, 3)).astype(np.float32)
    assert largest_difference(model, import_model(model), {"x": x}, prefixes=24) < 1e-5


def test_a_product_summed_over_time_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="over time"):
        import_model(onnx.load(MODELS / "tc_einsum_xc.onnx"))
