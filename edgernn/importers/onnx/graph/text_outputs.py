"""Classifiers with text labels, as skl2onnx writes them: the scores stay, the texts become the labels of the model.

Source: ai.onnx.ml ZipMap, LinearClassifier, ArrayFeatureExtractor, TreeEnsembleClassifier.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from edgernn.errors import UnsupportedModelError
from edgernn.importers.onnx.graph.tensors import text
from edgernn.program.metadata import MAX_LABELS, MAX_TEXT

LABELS_ATTRIBUTE = "classlabels_strings"
MAX_VISITS = 1000  # nodes before an output in which its texts are looked for


def without_text_outputs(model: ModelProto) -> tuple[ModelProto, tuple[str, ...], tuple[str, ...]]:
    """A model without outputs that hold texts, and with tensors in place of the maps of ZipMap.

    Parameters
    ----------
    model : ModelProto
        Left as it is.

    Returns
    -------
    ModelProto
        The same object where there is nothing to change.
    labels : tuple of str
        The texts, in the order of the scores; empty where there are none.
    notes : tuple of str
        What was left out.

    Raises
    ------
    UnsupportedModelError
        Nothing but texts comes out.
    """
    texts = [entry for entry in model.graph.output if entry.type.tensor_type.elem_type == TensorProto.STRING]
    has_maps = any(node.op_type == "ZipMap" for node in model.graph.node)
    if not texts and not has_maps:
        return model, (), ()
    if len(texts) == len(model.graph.output):
        raise UnsupportedModelError(
            f"the model gives nothing but texts ({', '.join(text(entry.name) for entry in texts)}): export it with its "
            "scores, such as the probabilities"
        )
    changed = ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    labels = _labels(graph, [text(entry.name) for entry in texts])
    for node in graph.node:
        if node.op_type == "ZipMap":
            _make_identity(graph, node)
    kept = [entry for entry in graph.output if entry.type.tensor_type.elem_type != TensorProto.STRING]
    del graph.output[:]
    graph.output.extend(kept)
    notes = tuple(
        f"output {text(entry.name)} holds texts and is left out: the scores are in the order of the labels "
        f"{', '.join(labels)}"
        for entry in texts
    )
    return changed, labels, notes


def _make_identity(graph: GraphProto, node: NodeProto) -> None:
    """Let a ZipMap give its scores as they are."""
    node.op_type, node.domain = "Identity", ""
    del node.attribute[:]
    for entry in graph.output:
        if entry.name == node.output[0]:
            entry.type.CopyFrom(onnx.helper.make_tensor_type_proto(TensorProto.FLOAT, None))


def _labels(graph: GraphProto, outputs: list[str]) -> tuple[str, ...]:
    """Texts that stand before the text outputs, or in a ZipMap."""
    zips = [node for node in graph.node if node.op_type == "ZipMap"]
    tensors = {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == TensorProto.STRING}
    for node in (*zips, *_before(graph, outputs)):
        for attribute in node.attribute:
            if attribute.name == LABELS_ATTRIBUTE and attribute.strings:
                return _checked(attribute.strings)
        for name in node.input:
            if name in tensors and tensors[name].string_data:
                return _checked(tensors[name].string_data)
    return ()


def _before(graph: GraphProto, outputs: list[str]) -> Iterator[NodeProto]:
    """Nodes that outputs are made of, the nearest first."""
    writers = {name: node for node in graph.node for name in node.output}
    waiting, seen = list(outputs), set(outputs)
    for _ in range(MAX_VISITS):
        if not waiting or (node := writers.get(waiting.pop(0))) is None:
            if not waiting:
                return
            continue
        yield node
        waiting += [name for name in node.input if name not in seen]
        seen.update(node.input)


def _checked(texts: object) -> tuple[str, ...]:
    """Labels as they may stand in a program's metadata, none where they can't be."""
    decoded = tuple(entry.decode("utf-8", "replace") if isinstance(entry, bytes) else str(entry) for entry in texts)  # type: ignore[attr-defined]
    usable = len(decoded) <= MAX_LABELS and all(len(entry) <= MAX_TEXT for entry in decoded)
    return decoded if usable and len(set(decoded)) == len(decoded) else ()
