"""What a node gives whose inputs are all constant, by its own rule: the step is made, and run once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgernn.importers.onnx.streams.builder import ProgramBuilder
from edgernn.importers.onnx.streams.timing import EVERY_FRAME
from edgernn.importers.onnx.streams.values import Constant, Signal, Tensor
from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription
from edgernn.program.program import Program
from edgernn.reference.runner import ReferenceRunner

CLOCK = "\0clock"  # a step needs an input


def fold_constants(
    constants: tuple[Tensor | None, ...],
    rule: Callable[[ProgramBuilder, tuple[Tensor | None, ...]], tuple[Tensor, ...]],
) -> tuple[Tensor, ...]:
    """The outputs of a rule, which is given streams in place of the constants, as constants."""
    builder = ProgramBuilder(False, frozenset(), (CLOCK,))
    builder.add_input(CLOCK, (1,))
    streams = tuple(
        builder.constant(tensor, EVERY_FRAME) if isinstance(tensor, Constant) and i == 0 else tensor
        for i, tensor in enumerate(constants)
    )
    results = rule(builder, streams)
    bases = list(dict.fromkeys(base for x in results if isinstance(x, Signal) for base in x.bases))
    if not bases:
        return results
    outputs = tuple(OutputDescription(base, base, per_frame=True) for base in bases)
    description = ProgramDescription(
        inputs=(InputDescription(CLOCK, (1,)),),
        outputs=outputs,
        state=tuple(builder.hidden_states.slots.values()),
        operations=tuple(builder.operations),
    )
    frame = ReferenceRunner(Program(description, builder.weights), np.float64).step({CLOCK: [0.0]})
    values = frame if isinstance(frame, dict) else {bases[0]: frame}
    return tuple(_constant(x, values) if isinstance(x, Signal) else x for x in results)


def _constant(x: Signal, values: object) -> Constant:
    assert isinstance(values, dict)
    flat = np.concatenate([np.asarray(values[base]).ravel() for base in x.bases])
    return Constant(x.axes, flat[x.elements].astype(np.float32 if flat.dtype.kind == "f" else np.int64))
