"""Sequences that are made shorter and longer again, with branches that skip that: U-nets, autoencoders, upsampling."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper
from sequence_models import make_model
from streaming_oracle import largest_difference

import edgernn
from edgernn.importers.onnx.importer import import_model
from edgernn.reference.runner import ReferenceRunner


class RandomUnet:
    """Layers that stride down, and as many that go up again, with what lay beside them; from a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[NodeProto] = []
        self.weights: dict[str, NDArray[Any]] = {}
        strides = [int(stride) for stride in self.rng.choice([2, 2, 3], self.rng.integers(1, 3))]
        self.stride = int(np.prod(strides))
        self.frozen = bool(self.rng.random() < 0.4)
        self.steps = self.stride * int(self.rng.integers(5, 8))
        x, width, skips = "x", 3, []
        for stride in strides:
            x, width = self.conv(x, width)
            skips.append((x, width))
            x, width = self.down(x, width, stride)
        x, width = self.conv(x, width)
        for stride, (skip, skip_width) in zip(strides[::-1], skips[::-1], strict=True):
            x, width = self.up(x, width, stride)
            kind = self.rng.random()
            if kind < 0.5:
                x, width = self.node("Concat", [skip, x], axis=1), skip_width + width
            elif kind < 0.8:
                x = self.node("Add", [skip, self.conv(x, width, outputs=skip_width)[0]])
                width = skip_width
            for _ in range(int(self.rng.integers(0, 3))):
                x, width = (self.conv, self.pool)[int(self.rng.random() < 0.3)](x, width)
        self.node("Tanh", [x], "y")
        time = self.steps if self.frozen else "time"
        self.model: ModelProto = make_model(self.nodes, {"x": (1, 3, time)}, ["y"], self.weights)
        self.free_model: ModelProto = make_model(self.nodes, {"x": (1, 3, "time")}, ["y"], self.weights)

    def node(self, operator: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        output = output or f"{operator}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def weight(self, array: Any, dtype: Any = np.float32) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = np.asarray(array, dtype)
        return name

    def kernel(self, *shape: int) -> str:
        return self.weight(self.rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:])))

    def conv(self, x: str, width: int, outputs: int = 0) -> tuple[str, int]:
        """A window of any reach that keeps the number of frames."""
        size, dilation = int(self.rng.integers(1, 5)), int(self.rng.integers(1, 3))
        span = (size - 1) * dilation
        before = int(self.rng.integers(0, span + 1))
        outputs = outputs or int(self.rng.integers(1, 5))
        inputs = [x, self.kernel(outputs, width, size), self.kernel(outputs)]
        return self.node("Conv", inputs, pads=[before, span - before], dilations=[dilation]), outputs

    def pool(self, x: str, width: int) -> tuple[str, int]:
        operator = ("MaxPool", "AveragePool")[int(self.rng.random() < 0.5)]
        return self.node(operator, [x], kernel_shape=[3], pads=[1, 1]), width

    def down(self, x: str, width: int, stride: int) -> tuple[str, int]:
        kind = self.rng.random()
        if kind < 0.3:
            return self.node("MaxPool", [x], kernel_shape=[stride], strides=[stride]), width
        outputs, more = int(self.rng.integers(1, 5)), int(self.rng.integers(0, 3))
        before = int(self.rng.integers(0, more + 1))
        inputs = [x, self.kernel(outputs, width, stride + more)]
        return self.node("Conv", inputs, pads=[before, more - before], strides=[stride]), outputs

    def up(self, x: str, width: int, stride: int) -> tuple[str, int]:
        kind = self.rng.random()
        if kind < 0.4:
            scales = self.weight([1, 1, stride])
            modes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            return self.node("Resize", [x, "", scales], **modes), width
        outputs, pad = int(self.rng.integers(1, 5)), int(self.rng.integers(0, 2))
        inputs = [x, self.kernel(width, outputs, stride + 2 * pad)]
        return self.node("ConvTranspose", inputs, strides=[stride], pads=[pad, pad]), outputs


@pytest.mark.parametrize("seed", range(60))
def test_random_unet_streams_as_the_whole_sequence(seed: int) -> None:
    unet = RandomUnet(seed)
    imported = import_model(unet.model, time_axis=2)
    assert imported.program.mode in ("delayed", "continuous"), imported.program.description.mode_reason
    sequences = {"x": unet.rng.standard_normal((unet.steps, 3)).astype(np.float32)}
    for runner in (ReferenceRunner, edgernn.Runner):
        difference = largest_difference(unet.free_model, imported, sequences, runner, least_steps=unet.stride)
        assert difference < 1e-5, runner.__name__


RESIZES = [
    {"mode": mode, "coordinate_transformation_mode": coordinates, **rounding}
    for mode in ("nearest", "linear")
    for coordinates in ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")
    for rounding in (
        [{"nearest_mode": each} for each in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")]
        if mode == "nearest"
        else [{}]
    )
]


@pytest.mark.parametrize("attributes", RESIZES, ids=lambda attributes: "-".join(attributes.values()))
@pytest.mark.parametrize("scale", [2, 3])
def test_resize_of_time(attributes: dict[str, str], scale: int) -> None:
    """It streams where each frame's own block needs no more than its neighbours; else it runs on windows."""
    resize = helper.make_node("Resize", ["x", "", "scales"], ["y"], **attributes)
    model = make_model([resize], {"x": (1, 2, "time")}, ["y"], {"scales": np.float32([1, 1, scale])})
    x = np.random.default_rng(scale).standard_normal((9, 2)).astype(np.float32)
    places = (np.arange(scale) + 0.5) / scale - 0.5 if "half" in str(attributes) else np.arange(scale) / scale
    rounding = attributes.get("nearest_mode", "")
    round_ = {"floor": np.floor, "ceil": np.ceil, "round_prefer_floor": lambda x: np.ceil(x - 0.5)}
    is_own = rounding == "" or not round_.get(rounding, lambda x: np.floor(x + 0.5))(places).any()
    streams = is_own and attributes["coordinate_transformation_mode"] != "align_corners"
    imported = import_model(model, time_axis=2, **({} if streams else {"window": 5}))
    assert (imported.program.mode != "windowed") == streams
    assert largest_difference(model, imported, {"x": x}) < 1e-6


@pytest.mark.parametrize("attributes", RESIZES, ids=lambda attributes: "-".join(attributes.values()))
@pytest.mark.parametrize("by", ["scales", "sizes"])
def test_resize_of_features(attributes: dict[str, str], by: str) -> None:
    resize = helper.make_node(
        "Resize", ["x", "", *(["scales"] if by == "scales" else ["", "sizes"])], ["y"], **attributes
    )
    weights = {"scales": np.float32([1, 1, 1.7]), "sizes": np.array([1, 1, 3])}
    model = make_model([resize], {"x": (1, "time", 7)}, ["y"], {by: weights[by]})
    if by == "sizes":  # of an axis of unknown extent
        model = make_model([resize], {"x": (1, 1, 7)}, ["y"], {by: weights[by]})
    imported = import_model(model)
    x = np.random.default_rng(0).standard_normal((1 if by == "sizes" else 4, 7)).astype(np.float32)
    assert largest_difference(model, imported, {"x": x}) < 1e-6


def test_upsample_of_old() -> None:
    upsample = helper.make_node("Upsample", ["x", "scales"], ["y"], mode="nearest")
    model = make_model([upsample], {"x": (1, 2, "time")}, ["y"], {"scales": np.float32([1, 1, 2])}, opset=9)
    imported = import_model(model, time_axis=2)
    assert imported.program.outputs[0].rate == 2
    x = np.random.default_rng(0).standard_normal((5, 2)).astype(np.float32)
    assert largest_difference(model, imported, {"x": x}) == 0


def test_what_resize_cannot() -> None:
    for attributes, words in (({"mode": "cubic"}, "cubic"), ({"mode": "linear", "antialias": 1}, "antialias")):
        resize = helper.make_node("Resize", ["x", "", "scales"], ["y"], **attributes)
        model = make_model([resize], {"x": (1, "time", 7)}, ["y"], {"scales": np.float32([1, 1, 2])}, opset=18)
        with pytest.raises(edgernn.UnsupportedModelError, match=words):
            import_model(model)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("scales", [[1, 1, 3e9], [1, 1e12, 1], [1, 1, np.nan], [1, 1, -2], [1, 1, np.inf], [1, 1]])
def test_scales_of_a_damaged_file(mode: str, scales: list[float]) -> None:
    resize = helper.make_node("Resize", ["x", "", "scales"], ["y"], mode=mode)
    model = make_model([resize], {"x": (1, 2, "time")}, ["y"], {"scales": np.float32(scales)})
    with pytest.raises(edgernn.ModelError):
        import_model(model)
