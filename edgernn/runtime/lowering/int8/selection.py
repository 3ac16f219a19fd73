"""Integer comparisons and choices, as instructions."""

from __future__ import annotations

import numpy as np

from edgernn.kernels.codegen.library import Kernel
from edgernn.kernels.int8.instructions import (
    Int8ElementwiseInstruction,
    Int8WhereInstruction,
)
from edgernn.kernels.int8.products.packing import (
    pack_short_factors,
)
from edgernn.program.operations import (
    Int8Compare,
    Int8Where,
)
from edgernn.runtime.lowering.elementwise import broadcast
from edgernn.runtime.lowering.table import InstructionBuilder, Lowering, direct


def _lower_compare(builder: InstructionBuilder, operation: Int8Compare) -> None:
    output = builder.program.values[operation.outputs[0]]
    a, b = (broadcast(builder, name, output.shape, operation.name, 2) for name in operation.inputs)
    constants = pack_short_factors(np.array(operation.multipliers), np.array(operation.shifts))
    y = builder.value(operation.outputs[0])
    row = Int8ElementwiseInstruction(a=a, b=b, y=y, constants=builder.pack(constants), size=output.size)
    builder.emit(Kernel("int8.selection.compare", ("compare", operation.function)), row, operation.name)


OPERATIONS: dict[type, Lowering] = {
    Int8Compare: _lower_compare,
    Int8Where: direct("int8.selection.compare", Int8WhereInstruction, "where"),
}
