"""Int8 programs come from files that are not trusted: whatever would break the range proofs is refused."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from int8_programs import int8_program
from small_programs import cell_program, recording

from edgernn.errors import MalformedModelError
from edgernn.program.operations import Int8Dense, IntegerFunction
from edgernn.program.program import Program
from edgernn.quantizer import quantize


@pytest.fixture(scope="module")
def programs() -> dict[str, Program]:
    return {
        kind: quantize(cell_program(kind), recording(3, 50), states="s16", count_size=0.01)
        for kind in ("gru", "gru_hard_sigmoid", "lstm_peephole")
    }


def with_weight(name: str, change: Callable[[np.ndarray], Any]) -> Callable[[Program], Program]:
    def build(program: Program) -> Program:
        weights = {key: array.copy() for key, array in program.weights.items()}
        changed = change(weights[name])
        weights[name] = weights[name] if changed is None else changed
        return Program(program.description, weights)

    return build


def with_field(operation: str, **fields: Any) -> Callable[[Program], Program]:
    def build(program: Program) -> Program:
        operations = tuple(
            msgspec.structs.replace(each, **fields) if each.name == operation else each for each in program.operations
        )
        return Program(msgspec.structs.replace(program.description, operations=operations), program.weights)

    return build


def with_state(**fields: Any) -> Callable[[Program], Program]:
    def build(program: Program) -> Program:
        first = msgspec.structs.replace(program.state[0], **fields)
        state = (first, *program.state[1:])
        return Program(msgspec.structs.replace(program.description, state=state), program.weights)

    return build


def filled(value: int) -> Callable[[np.ndarray], None]:
    def fill(array: np.ndarray) -> None:
        array[...] = value

    return fill


@pytest.mark.parametrize(
    ("kind", "build", "complaint"),
    [
        ("gru", with_weight("cell/R_shift", filled(47)), "outside 2 to 46"),
        ("gru", with_weight("cell/R_shift", filled(1)), "outside 2 to 46"),
        ("gru", with_weight("cell/W_multiplier", filled(100)), "neither 0 nor from 16384"),
        ("gru", with_weight("cell/W_multiplier", filled(-20000)), "neither 0 nor from 16384"),
        ("gru", with_weight("cell/B", filled((1 << 28) + 1)), "larger than 2\\^28"),
        ("gru", with_weight("cell/W", lambda W: W[:-1]), "shape|rows"),
        ("gru", with_weight("cell/W", lambda W: W.astype(np.float32)), "must be int8"),
        ("gru", with_weight("head/W", lambda W: W[:, :-1]), "has shape"),
        ("gru", with_weight("x.int16/inverse", filled(0)), "above 0"),
        ("gru", with_weight("x.int16/counts", filled(-1)), "outside"),
        ("gru", with_field("cell", operand_bits=12), "operand_bits is 12"),
        ("gru", with_field("cell", clip=0), "clip is 0"),
        ("gru", with_field("cell", scale=0.0), "scale is 0"),
        ("gru", with_field("cell", scale=3e-5), "power of two"),
        ("gru", with_field("cell", int32_state=True), "needs state cell.h to be int32"),
        ("gru", with_field("cell", activations=(IntegerFunction("Tanh"),) * 2), "can be negative"),
        ("gru", with_field("cell", activations=(IntegerFunction("Sigmoid"),)), "needs 2"),
        ("gru", with_field("cell", activations=(IntegerFunction("Table"),) * 2), "do not fit together"),
        ("gru", with_field("head", scale=float("inf")), "scale is inf"),
        ("gru", with_field("head", inputs=("x",)), "is float32, it must be int16"),
        ("gru", with_field("softmax", shift=1), "outside 2 to 46"),
        ("gru", with_state(dtype="int32"), "needs state cell.h to be int16"),
        ("gru", with_state(scale=1.0), "needs state cell.h"),
        ("gru_hard_sigmoid", with_weight("cell/table0", lambda table: table[:-1]), "shape"),
        ("gru_hard_sigmoid", with_weight("cell/table0", filled(-1)), "can be negative"),
        (
            "gru_hard_sigmoid",
            lambda program: with_field("cell", activations=(IntegerFunction("OddOctaves", table="odd"),) * 2)(
                Program(program.description, {**program.weights, "odd": np.ones(482, np.int16)})
            ),
            "can be negative",
        ),
        ("lstm_peephole", with_weight("cell/P_shift", filled(31)), "outside 2 to 30"),
        ("lstm_peephole", with_field("cell", P_shift=None), "both be there"),
        ("lstm_peephole", with_field("cell", cell_scale=2.0**-16), "out of range"),
    ],
)
def test_a_program_that_breaks_a_proof_is_refused(
    programs: dict[str, Program], kind: str, build: Callable[[Program], Program], complaint: str
) -> None:
    with pytest.raises(MalformedModelError, match=complaint):
        build(programs[kind])


@pytest.mark.parametrize(("bits", "columns"), [(16, 512), (8, 131_072)])
def test_a_row_that_could_overflow_32_bits_is_refused(bits: int, columns: int) -> None:
    """Products of the lowest weight and the lowest operand: 2^22 or 2^14 each."""
    int8_program("rnn", columns - 1, 2, bits, "lowest")
    with pytest.raises(MalformedModelError, match="row 0 of W could overflow 32 bits"):
        int8_program("rnn", columns, 2, bits, "lowest")


def test_the_message_names_the_operation(programs: dict[str, Program]) -> None:
    (head,) = (operation for operation in programs["gru"].operations if isinstance(operation, Int8Dense))
    with pytest.raises(MalformedModelError, match=rf"^operation {head.name} \(Int8Dense\)"):
        with_weight("head/W_shift", filled(0))(programs["gru"])
