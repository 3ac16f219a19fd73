"""Operations that compute the same become one."""

from __future__ import annotations

from typing import Any

import msgspec

from edgernn.program.operations import AnyOperation, PutFrame
from edgernn.program.program import Program
from edgernn.program.trees import rewritten


def eliminate_common_subexpressions(program: Program) -> Program:
    """What reads the result of an operation that was done before reads the earlier result; only in the same loop."""
    first: dict[Any, AnyOperation] = {}
    same: dict[str, str] = {}

    def shared(original: AnyOperation) -> tuple[AnyOperation]:
        operation = msgspec.structs.replace(original, inputs=tuple(same.get(name, name) for name in original.inputs))
        if not operation.state_fields and not isinstance(operation, PutFrame) and operation.outputs:
            content = msgspec.structs.replace(operation, name="", outputs=(), sources=())
            earlier = first.setdefault((type(operation), program.graph.loops[operation.name], content), operation)
            if earlier is not operation:
                same.update(zip(operation.outputs, earlier.outputs, strict=True))
        return (operation,)

    return program.with_operations(rewritten(program.description.operations, shared))
