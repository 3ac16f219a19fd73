"""Damaged descriptions of integer operations are refused when a program is made of them."""

from __future__ import annotations

from typing import Any

import int8_feature_programs as programs
import msgspec
import numpy as np
import pytest
from unquantized_programs import convolutions, recording
from written_out_cells import written_out

from edgernn.errors import MalformedModelError
from edgernn.program.operations import Int32StateTerm, StateRegion
from edgernn.program.program import Program
from edgernn.quantizer import quantize


def damaged(program: Program, name: str, weights: dict[str, Any] | None = None, **fields: Any) -> None:
    operations = tuple(
        msgspec.structs.replace(operation, **fields) if operation.name == name else operation
        for operation in program.operations
    )
    description = msgspec.structs.replace(program.description, operations=operations)
    Program(description, dict(program.weights) | (weights or {}))


@pytest.mark.parametrize(
    ("program", "fields"),
    [
        (programs.matmul(1, 2, 600, 3, False, 8), {"operand_bits": 16, "shift": 17}),
        (programs.matmul(1, 2, 6, 3, False, 8), {"operand_bits": 7}),
        (programs.matmul(1, 2, 6, 3, False, 8), {"multiplier": 3}),
        (programs.reduce("Sum", (2, 3), 1), {"axis": 2}),
        (programs.reduce("Mean", (2, 30_000), 1), {"shift": 2}),
        (programs.reduce("Max", (2, 3), 1), {"scale": 2.0}),
        (programs.running("Mean", 3), {"mean_bits": 8}),
        (programs.running("Sum", 3), {"sum_shift": 33}),
        (programs.running("Sum", 3), {"shift": 16}),
        (programs.running("Max", 3), {"scale": 0.5}),
        (programs.running_softmax(2, 3), {"mean_bits": 8}),
        (programs.running_softmax(2, 3), {"mean_bits": -1}),
        (programs.running_softmax(2, 3), {"multiplier": 16_383}),
        (programs.running_softmax(2, 3), {"shift": 1}),
        (programs.running_softmax(2, 3), {"shift": 47}),
        (programs.running_softmax(2, 3), {"groups": 3}),
        (programs.running_softmax(2, 3), {"groups": 0}),
        (programs.running_softmax(2, 3), {"size": -3}),
        (programs.running_softmax(2, 3), {"input_scale": 2.0}),
        (programs.running_softmax(2, 3), {"inputs": ("b", "a")}),
        (programs.running_softmax(2, 3), {"inputs": ("a",)}),
        (programs.running_softmax(2, 3), {"total": StateRegion("weighted")}),
        (programs.running_softmax(2, 3), {"weighted": StateRegion("weighted", 1)}),
        (programs.running_softmax(2, 3), {"reference": StateRegion("reference", -1)}),
        (programs.running_softmax(2, 3), {"reference": StateRegion("nothing")}),
        (programs.layer_norm(1, 4, 0, 8), {"epsilon": (1 << 60) + 1}),
        (programs.layer_norm(1, 4, 0, 8), {"norm_bits": 13}),
        (programs.layer_norm(1, 4, 0, 8), {"B": "m"}),
        (programs.grouped(1, 2, 3, 16), {"W_shift": "m"}),
        (programs.grouped(1, 2, 3, 16), {"operand_bits": 4}),
        (programs.log_softmax(1, 4, 14), {"output_shift": 10}),
        (programs.log_softmax(1, 4, 14), {"multiplier": 1}),
    ],
)
def test_numbers_out_of_range(program: Program, fields: dict[str, Any]) -> None:
    with pytest.raises(MalformedModelError, match="operation op"):
        damaged(program, "op", **fields)


def test_an_odd_function_without_an_opposite_number() -> None:
    program = programs.near_zero(3)
    with pytest.raises(MalformedModelError, match="operation OddOctaves"):
        damaged(program, "OddOctaves", {"E": np.full(482, -32768, np.int16)})


def test_a_group_that_could_overflow() -> None:
    program = programs.grouped(1, 1000, 2, 16)
    W, shift = np.full((1, 1000, 2), 127, np.int8), np.full((1, 2), 14, np.int8)
    with pytest.raises(MalformedModelError, match="could overflow"):
        damaged(program, "op", {"W": W, "s": shift})


@pytest.mark.parametrize(
    "term",
    [
        {"x": 9},
        {"shift": 17},
        {"factor": "nothing"},
        {"gate": 0},
        {"minus": 0},
    ],
)
def test_terms_of_a_wide_state(term: dict[str, Any]) -> None:
    program = quantize(written_out("linear"), recording(50, 2), states="s32")
    with pytest.raises(MalformedModelError, match="operation new"):
        damaged(program, "new", terms=(Int32StateTerm(**({"x": 0} | term)),))


def test_padding_that_a_ring_cannot_hold() -> None:
    program = quantize(convolutions(), recording(50))
    for fill in (40_000.0, 0.5, float("inf")):
        with pytest.raises(MalformedModelError, match="fill is"):
            damaged(program, "h2", fill=fill)
