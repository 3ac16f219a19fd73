"""How each step operation is written as C: one function for each, in a module for each family.

To add an operation, write its kernel in runtime/, its emitter here, and an entry in `OPERATIONS` of its family.
"""

from __future__ import annotations

from edgernn.errors import ExportError
from edgernn.program.operations import AnyOperation, Repeat
from edgernn.program.program import Program
from firmware_export.emitters import elementwise, loops, movement, products, recurrent, reductions, selection, time
from firmware_export.emitters.calls import Emitter
from firmware_export.emitters.int8 import elementwise as int8_elementwise
from firmware_export.emitters.int8 import products as int8_products
from firmware_export.emitters.int8 import recurrent as int8_recurrent
from firmware_export.emitters.int8 import reductions as int8_reductions
from firmware_export.emitters.int8 import selection as int8_selection
from firmware_export.step import StepWriter

FLOAT_FAMILIES = (elementwise, products, recurrent, reductions, selection, movement, time, loops)
INT8_FAMILIES = (int8_elementwise, int8_products, int8_recurrent, int8_reductions, int8_selection)
EMITTERS: dict[type, Emitter] = {
    operation: emitter
    for family in (*FLOAT_FAMILIES, *INT8_FAMILIES)
    for operation, emitter in family.OPERATIONS.items()
}


def _emitter(operation: AnyOperation) -> Emitter:
    try:
        return EMITTERS[type(operation)]
    except KeyError:
        raise ExportError(
            f"operation {operation.name}: {type(operation).__name__} cannot be written as C yet"
        ) from None


def writer(program: Program, prefix: str) -> StepWriter:
    """A StepWriter whose scratch memory holds what the operations of `program` need.

    Raises
    ------
    ExportError
        An operation has no emitter.
    """

    def temporaries(operation: AnyOperation) -> list[tuple[str, int]]:
        return [] if isinstance(operation, Repeat) else _emitter(operation).temporaries(program, operation)

    return StepWriter(program, prefix, temporaries)


def write(step: StepWriter, operation: AnyOperation) -> list[str]:
    """The C lines of one operation."""
    return _emitter(operation).write(step, operation)
