"""Every step operation has every back end; this file names those that are missing."""

from __future__ import annotations

from typing import get_args

import pytest

from edgernn.program.operations import AnyOperation, FloatOperation, Movement, Repeat
from edgernn.quantizer.convert import CONVERTERS
from edgernn.reference.float_operations import FloatOperations
from edgernn.reference.integer_operations import IntegerOperations
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.lowering.time import ALL_LOWERINGS
from firmware_export.emitters import EMITTERS

# run by those that run the others: a Repeat by the loop over operations, the last of the cells by its default
BY_THEIR_OWN = {"Repeat", "Int8Rnn"}
OPERATIONS: dict[str, type] = {operation.__name__: operation for operation in get_args(AnyOperation)}


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_operation_has_a_numpy_reference(name: str) -> None:
    classes = (ReferenceRunner, FloatOperations, IntegerOperations)
    functions = [function for each in classes for function in vars(each).values()]
    named = {word for function in functions for word in getattr(getattr(function, "__code__", None), "co_names", ())}
    assert name in named | BY_THEIR_OWN, f"{name} is run by no edgernn/reference*.py"


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_operation_has_a_compiled_kernel(name: str) -> None:
    assert OPERATIONS[name] in ALL_LOWERINGS or name in BY_THEIR_OWN, f"{name} is lowered by no edgernn/lowering*.py"


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_operation_can_be_written_as_c(name: str) -> None:
    assert OPERATIONS[name] in EMITTERS or name in BY_THEIR_OWN, f"{name} has no emitter in firmware_export/emitters"


@pytest.mark.parametrize(
    "name", sorted(operation.__name__ for operation in get_args(FloatOperation | Movement | Repeat))
)
def test_operation_has_an_integer_form(name: str) -> None:
    assert OPERATIONS[name] in CONVERTERS, f"edgernn/quantizer does not convert {name}"
