"""Damaged and hostile model files: a clear error each, and no file read outside of the model's folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper
from sequence_models import cell_weights, make_model

import edgernn
from edgernn.importers.onnx.graph.graph import parse_model
from edgernn.importers.onnx.importer import import_model

MODELS = Path(__file__).parents[1] / "models"
MUTATIONS = 10_000
node = helper.make_node


def gru_model(steps: int | str = "time") -> ModelProto:
    """A GRU of 4 units over 3 channels, then a dense layer."""
    weights = cell_weights("GRU", 3, 4, np.random.default_rng(0)) | {"V": np.ones((4, 2), np.float32)}
    nodes = [
        node("GRU", ["x", "W", "R", "B"], ["", "h"], hidden_size=4),
        node("MatMul", ["h", "V"], ["y"]),
    ]
    return make_model(nodes, {"x": [steps, 1, 3]}, ["y"], weights)


def initializer(model: ModelProto, name: str) -> TensorProto:
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


# ---- files


@pytest.mark.parametrize("kept", [0, 1, 10, 100, 300, -1])
def test_truncated_file(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(gru_model().SerializeToString()[:kept])
    with pytest.raises(edgernn.MalformedModelError):
        edgernn.load(path)


@pytest.mark.parametrize("path", ["missing.onnx", ".", "nul\0byte.onnx", "x" * 5000])
def test_file_that_is_none(path: str, tmp_path: Path) -> None:
    with pytest.raises(edgernn.MalformedModelError):
        edgernn.load(tmp_path / path)


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(edgernn.MalformedModelError, match="no such file"):
        edgernn.load(tmp_path / "pipe.onnx")


def test_file_larger_than_protobuf_reads(tmp_path: Path) -> None:
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.truncate(1 << 32)  # a hole: takes no room
    with pytest.raises(edgernn.MalformedModelError, match="external data"):
        edgernn.load(path)


def test_deeply_nested_message() -> None:
    """ModelProto.graph.node.attribute.g.node.attribute.g..., 300 levels, each wrapped by hand."""
    graph = b""
    for _ in range(300):
        for tag in (b"\x32", b"\x2a", b"\x0a"):  # AttributeProto.g, NodeProto.attribute, GraphProto.node
            length, size = b"", len(graph)
            while size > 0x7F:
                length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
            graph = tag + length + bytes([size]) + graph
    length, size = b"", len(graph)
    while size > 0x7F:
        length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
    with pytest.raises(edgernn.MalformedModelError):
        import_model(parse_model(b"\x3a" + length + bytes([size]) + graph, "nested"))


# ---- what the graph claims


def wrong_weight_shape(model: ModelProto) -> None:
    initializer(model, "R").dims[:] = [1, 4, 12]


def weight_shorter_than_its_shape(model: ModelProto) -> None:
    initializer(model, "W").raw_data = initializer(model, "W").raw_data[:-4]


def weight_of_two_gigabytes(model: ModelProto) -> None:
    initializer(model, "W").dims[:] = [1, 1 << 20, 1 << 10]


def weight_with_negative_extent(model: ModelProto) -> None:
    initializer(model, "W").dims[:] = [-1, -12, 3]


def weight_of_unknown_type(model: ModelProto) -> None:
    initializer(model, "W").data_type = 99


def weight_of_texts(model: ModelProto) -> None:
    initializer(model, "W").data_type = TensorProto.STRING


def missing_weight(model: ModelProto) -> None:
    model.graph.initializer.remove(initializer(model, "R"))


def weight_with_nan(model: ModelProto) -> None:
    numbers = np.frombuffer(initializer(model, "V").raw_data, np.float32).copy()
    numbers[3] = np.nan
    initializer(model, "V").raw_data = numbers.tobytes()


def bias_for_another_size(model: ModelProto) -> None:
    initializer(model, "B").CopyFrom(onnx.numpy_helper.from_array(np.zeros((1, 30), np.float32), "B"))


def hidden_size_that_is_wrong(model: ModelProto) -> None:
    model.graph.node[0].attribute[0].i = 5


def attribute_of_the_wrong_type(model: ModelProto) -> None:
    model.graph.node[0].attribute[0].CopyFrom(helper.make_attribute("hidden_size", "four"))


def attribute_twice(model: ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("hidden_size", 4))


def cycle(model: ModelProto) -> None:
    model.graph.node[1].input[0] = "z"
    model.graph.node.append(node("Add", ["y", "h"], ["z"]))


def node_that_reads_itself(model: ModelProto) -> None:
    model.graph.node[1].input[0] = "y"


def tensor_written_twice(model: ModelProto) -> None:
    model.graph.node.append(node("Relu", ["h"], ["y"]))


def two_weights_of_one_name(model: ModelProto) -> None:
    model.graph.initializer.append(initializer(model, "V"))


def output_of_no_node(model: ModelProto) -> None:
    model.graph.output[0].name = "nothing"


def no_nodes(model: ModelProto) -> None:
    del model.graph.node[:]


def no_outputs(model: ModelProto) -> None:
    del model.graph.output[:]


def no_operator_set(model: ModelProto) -> None:
    del model.opset_import[:]


def input_of_a_terabyte(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 1 << 40


def constant_of_a_terabyte(model: ModelProto) -> None:
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1 << 20, 1 << 20]), "huge"))
    model.graph.node.insert(1, node("ConstantOfShape", ["huge"], ["zeros"]))
    model.graph.node[2].input[1] = "zeros"


def copies_of_a_terabyte(model: ModelProto) -> None:
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1 << 30, 1, 1, 4]), "huge"))
    model.graph.node.insert(1, node("Expand", ["h", "huge"], ["many"]))
    model.graph.node[2].input[0] = "many"


def count_of_a_terabyte(model: ModelProto) -> None:
    for name, number in (("from", 0), ("to", 1 << 40), ("by", 1)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(number), name))
    model.graph.node.insert(1, node("Range", ["from", "to", "by"], ["numbers"]))
    model.graph.node[2].input[1] = "numbers"


def outer_product_of_a_terabyte(model: ModelProto) -> None:
    for name, shape in (("column", (1 << 20, 1)), ("row", (1, 1 << 20))):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(shape, np.float32), name))
    model.graph.node.insert(1, node("Add", ["column", "row"], ["product"]))
    model.graph.node[2].input[1] = "product"


def metadata_that_is_wrong(model: ModelProto) -> None:
    helper.set_model_props(model, {"edgernn.rate_hz": "fast"})


def name_of_a_megabyte(model: ModelProto) -> None:
    model.graph.input[0].name = model.graph.node[0].input[0] = "x" * (1 << 20)


DAMAGES: list[tuple[Callable[[ModelProto], None], str]] = [
    (attribute_of_the_wrong_type, "hidden_size with a value of the wrong type"),
    (attribute_twice, "attribute twice"),
    (bias_for_another_size, "GRU_h"),
    (constant_of_a_terabyte, "the most is"),
    (copies_of_a_terabyte, "the most is"),
    (count_of_a_terabyte, "the most is"),
    (cycle, "cycle"),
    (hidden_size_that_is_wrong, "hidden_size"),
    (input_of_a_terabyte, "the most is"),
    (metadata_that_is_wrong, r"edgernn\.rate_hz"),
    (missing_weight, "reads 'R', which nothing defines"),
    (name_of_a_megabyte, "longer than"),
    (no_nodes, "no nodes"),
    (no_operator_set, "standard operators"),
    (no_outputs, "no outputs"),
    (node_that_reads_itself, "cycle"),
    (outer_product_of_a_terabyte, "the most is"),
    (output_of_no_node, "nothing"),
    (tensor_written_twice, "defined already"),
    (two_weights_of_one_name, "unique"),
    (weight_of_texts, "string"),
    (weight_of_two_gigabytes, "claims shape"),
    (weight_of_unknown_type, "type 99"),
    (weight_shorter_than_its_shape, "it holds"),
    (weight_with_nan, "NaN"),
    (weight_with_negative_extent, "claims shape"),
    (wrong_weight_shape, "GRU_h"),
]


@pytest.mark.parametrize(("damage", "words"), DAMAGES, ids=[damage.__name__ for damage, _ in DAMAGES])
def test_damaged_graph(damage: Callable[[ModelProto], None], words: str) -> None:
    model = gru_model()
    damage(model)
    with pytest.raises(edgernn.ModelError, match=words) as caught:
        import_model(model)
    assert len(str(caught.value)) < 1000


def test_nodes_out_of_order_are_put_in_order() -> None:
    model = gru_model()
    first, second = (onnx.NodeProto.FromString(entry.SerializeToString()) for entry in model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([second, first])
    assert import_model(model).program.hash == import_model(gru_model()).program.hash


# ---- external data


def with_external_weight(location: str, **entries: str) -> ModelProto:
    """The model with V in another file."""
    model = gru_model()
    tensor = initializer(model, "V")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in ({"location": location} | entries).items():
        tensor.external_data.add(key=key, value=value)
    return model


def save(model: ModelProto, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


V_BYTES = np.ones((4, 2), "<f4").tobytes()


def test_external_data_beside_the_model(tmp_path: Path) -> None:
    path = save(with_external_weight("weights.bin", offset="16", length="32"), tmp_path / "model")
    (path.parent / "weights.bin").write_bytes(bytes(16) + V_BYTES)
    assert edgernn.load(path).hash == import_model(gru_model()).program.hash


@pytest.mark.parametrize("kind", ["parent", "absolute", "symbolic link", "linked folder", "through a folder and back"])
def test_external_data_outside_of_the_folder_is_not_read(kind: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(V_BYTES)
    folder = tmp_path / "model"
    folder.mkdir()
    locations = {
        "parent": "../secret.bin",
        "absolute": str(secret),
        "symbolic link": "link.bin",
        "linked folder": "up/secret.bin",
        "through a folder and back": "inside/../../secret.bin",
    }
    (folder / "inside").mkdir()
    (folder / "link.bin").symlink_to(secret)
    (folder / "up").symlink_to(tmp_path)
    path = save(with_external_weight(locations[kind]), folder)
    with pytest.raises(edgernn.MalformedModelError, match="outside of the model's folder"):
        edgernn.load(path)


@pytest.mark.parametrize(
    ("location", "entries", "words"),
    [
        ("missing.bin", {}, "missing"),
        ("", {}, "outside"),
        (".", {}, "outside"),
        ("weights.bin", {"offset": "8"}, "which has 32"),
        ("weights.bin", {"offset": "-8"}, "no byte count"),
        ("weights.bin", {"offset": "9" * 40}, "no byte count"),
        ("weights.bin", {"length": "2000000000"}, "claims 2000000000 bytes"),
        ("weights.bin", {"length": "many"}, "no byte count"),
        ("nul\0byte.bin", {}, "cannot be used|outside|missing"),
        ("x" * 5000, {}, "cannot be used|missing"),
    ],
)
def test_external_data_that_is_not_what_it_claims(
    location: str, entries: dict[str, str], words: str, tmp_path: Path
) -> None:
    path = save(with_external_weight(location, **entries), tmp_path)
    (tmp_path / "weights.bin").write_bytes(V_BYTES)
    with pytest.raises(edgernn.MalformedModelError, match=words):
        edgernn.load(path)


def test_external_data_of_a_model_without_a_folder() -> None:
    with pytest.raises(edgernn.MalformedModelError, match="not read from a folder"):
        import_model(with_external_weight("weights.bin"))


# ---- anything


@pytest.mark.parametrize("kind", ["gru", "exported"])
def test_mutated_bytes_load_or_are_refused(kind: str) -> None:
    data = np.frombuffer(
        gru_model(5).SerializeToString()
        if kind == "gru"
        else (MODELS / "torch" / "rnn_tanh_head_last_dyn_legacy.onnx").read_bytes(),
        np.uint8,
    )
    random = np.random.default_rng(0)
    outcomes = {"loaded": 0, "refused": 0}
    for _ in range(MUTATIONS // 2):
        mutant = data.copy()
        places = random.integers(0, len(data), random.integers(1, 4))
        mutant[places] = random.integers(0, 256, len(places))
        try:
            import_model(parse_model(mutant.tobytes(), "mutant"))
            outcomes["loaded"] += 1
        except edgernn.EdgeRNNError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 100
