"""One rule for each ONNX operator: from what is known of its inputs to what is known of its outputs.

A rule takes a `Call` and returns the outputs; arithmetic emits step operations through ``call.builder``. To add an
operator that existing step operations can express, write its rule and enter it here.
"""

from __future__ import annotations

from collections.abc import Callable

from edgernn.importers.onnx.rules import dense, elementwise, layout, normalization, quantized, recurrent, selection
from edgernn.importers.onnx.rules.call import Call, Results

Rule = Callable[[Call], Results]

RULES: dict[str, Rule] = {
    "Abs": elementwise.unary,
    "Add": elementwise.binary,
    "BatchNormalization": normalization.batch_normalization,
    "Cast": layout.cast,
    "Celu": elementwise.unary,
    "Clip": elementwise.clip,
    "Concat": selection.concat,
    "Div": elementwise.binary,
    "Dropout": layout.identity,
    "Elu": elementwise.unary,
    "Erf": elementwise.unary,
    "Exp": elementwise.unary,
    "Expand": layout.expand,
    "Flatten": layout.flatten,
    "GRU": recurrent.recurrent,
    "Gather": selection.gather,
    "Gelu": elementwise.gelu,
    "Gemm": dense.gemm,
    "HardSigmoid": elementwise.unary,
    "HardSwish": elementwise.unary,
    "Identity": layout.identity,
    "LSTM": recurrent.recurrent,
    "LeakyRelu": elementwise.unary,
    "Log": elementwise.unary,
    "LogSoftmax": normalization.softmax,
    "MatMul": dense.matmul,
    "Max": elementwise.binary,
    "Min": elementwise.binary,
    "Mish": elementwise.unary,
    "Mul": elementwise.binary,
    "Neg": elementwise.unary,
    "PRelu": elementwise.prelu,
    "Pow": elementwise.binary,
    "RNN": recurrent.recurrent,
    "Reciprocal": elementwise.unary,
    "Relu": elementwise.unary,
    "Reshape": layout.reshape,
    "Selu": elementwise.unary,
    "Shape": layout.shape,
    "Sigmoid": elementwise.unary,
    "Size": layout.size,
    "Slice": selection.slice_,
    "Softmax": normalization.softmax,
    "Softplus": elementwise.unary,
    "Softsign": elementwise.unary,
    "Split": selection.split,
    "Sqrt": elementwise.unary,
    "Squeeze": layout.squeeze,
    "Sub": elementwise.binary,
    "Sum": elementwise.binary,
    "Swish": elementwise.swish,
    "Tanh": elementwise.unary,
    "ThresholdedRelu": elementwise.unary,
    "Transpose": layout.transpose,
    "Unsqueeze": layout.unsqueeze,
}
RULES |= quantized.rules(RULES)

# what to do about operators that exporters often write and that have no rule
ADVICE: dict[str, str] = {
    "Loop": "a recurrence written as a loop: build it from layers that torch.onnx.export(..., dynamo=False) writes as "
    "an LSTM, GRU or RNN operator. Keras writes its GRU, SimpleRNN and masked layers as loops: use a Keras LSTM with "
    "default activations, a free batch size and without masking",
    "Scan": "a recurrence written as a scan: export the model with LSTM, GRU or RNN layers as recurrent operators",
    "SequenceEmpty": "it collects the frames of a loop: export the recurrence as an LSTM, GRU or RNN operator",
    "If": "a choice between two graphs: export the model so that the choice is made before",
    "ReverseSequence": "it reads the sequence from its end: train the model with forward layers only",
    "TreeEnsembleClassifier": "a forest of decision trees is no sequence model",
    "TreeEnsembleRegressor": "a forest of decision trees is no sequence model",
    "ArgMax": "it makes a label of scores: keep only the scores among the outputs. Convert a scikit-learn classifier "
    "with options={'zipmap': False}, then remove its output `label`",
    "ZipMap": "convert the classifier with options={'zipmap': False}",
    "Scaler": "export the model without its scaler, and give mean and std to `edgernn convert`",
    "Tile": "it repeats frames; a decoder that runs on repeated states is not supported",
    "LayerNormalization": "use BatchNormalization, which is supported, or leave it out",
}
FAMILIES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("Conv", "MaxPool", "AveragePool", "Global"), "convolution and pooling over time are not supported"),
    (("Reduce", "ArgM", "TopK"), "reductions are not supported: leave them to the code that uses the outputs"),
    (("QLinear", "QGemm", "Quantize", "Dequantize", "DynamicQuantize", "MatMulInteger", "ConvInteger"),
     "the model is quantized already: load the float model and use edgernn.quantize"),
)  # fmt: skip
OPERATOR_SETS: dict[str, str] = {
    "com.microsoft": "onnxruntime's optimisation writes such operators: load the model as it was before",
    "ai.onnx.ml": "of scikit-learn's models, neural networks are supported",
}
OTHERWISE = "change the model, or leave the operator out of the exported part"


def advice(operator: str, operator_set: str = "") -> str:
    """What to do about an operator without a rule."""
    if operator in ADVICE:
        return ADVICE[operator]
    families = (text for prefixes, text in FAMILIES if operator.startswith(prefixes))
    return next(families, OPERATOR_SETS.get(operator_set, OTHERWISE))


__all__ = ["RULES", "Call", "Results", "Rule", "advice"]
