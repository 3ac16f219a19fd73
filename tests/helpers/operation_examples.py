"""The smallest program of every step operation, made from what the operation declares and a table of attributes."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from firmware_step_programs import held_program, looped_program

from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription, StateSlot
from edgernn.program.operations import (
    AnyOperation,
    ArgMax,
    Binary,
    ConstantValue,
    Convert,
    DelayLine,
    Dequantize,
    Gru,
    Int8Affine,
    Int8Binary,
    Int8Compare,
    Int8Dense,
    Int8FineGate,
    Int8GroupedDense,
    Int8Gru,
    Int8LayerNorm,
    Int8LogSoftmax,
    Int8Lstm,
    Int8MatMul,
    Int8Reduce,
    Int8Rnn,
    Int8RunningReduce,
    Int8RunningSoftmax,
    Int8Softmax,
    Int8Unary,
    Int8Where,
    Int32StateTerm,
    Int32StateUpdate,
    IntegerFunction,
    IntegerOperation,
    Operation,
    PutFrame,
    Quantize,
    ReadState,
    Rearrange,
    Reduce,
    Repeat,
    RunningReduce,
    RunningSoftmax,
    Sizes,
    StateRegion,
    TakeFrame,
    TopK,
    Unary,
    WriteState,
)
from edgernn.program.operations.base import declared
from edgernn.program.operations.declaration import State, Weight, resolved
from edgernn.program.program import Program

OPERATIONS: dict[str, type[Operation]] = {operation.__name__: operation for operation in get_args(AnyOperation)}
Q12, Q15 = 2.0**-12, 2.0**-15
SIGMOID, TANH = IntegerFunction("Sigmoid"), IntegerFunction("Tanh")
FACTOR = {"multiplier": 1 << 14, "shift": 18}
FACTORS = {"multipliers": (1 << 14, 1 << 14), "shifts": (15, 15)}
CELL = {"operand_bits": 8, "scale": Q15}

# what has no default; the extents of the symbols that no attribute fixes are those of EXTENTS
ATTRIBUTES: dict[type, dict[str, Any]] = {
    Gru: {"linear_before_reset": True},
    Unary: {"function": "Tanh"},
    Binary: {"function": "Add", "constant": None},
    Reduce: {"function": "Mean"},
    RunningReduce: {"function": "Sum", "size": 4},
    RunningSoftmax: {"groups": 2, "size": 3},
    TopK: {"k": 2},
    Rearrange: {"shape": (2, 2)},
    Convert: {"dtype": "int32"},
    DelayLine: {"length": 3, "size": 4, "taps": 3},
    Quantize: {"scale": Q12},
    Int8Dense: {"operand_bits": 16, "scale": Q12},
    Int8GroupedDense: {"operand_bits": 16, "scale": Q12},
    Int8MatMul: {"operand_bits": 16, "scale": Q12, **FACTOR},
    Int8Rnn: {**CELL, "activations": (TANH,)},
    Int8Gru: {**CELL, "activations": (SIGMOID, TANH), "linear_before_reset": True},
    Int8Lstm: {**CELL, "activations": (SIGMOID, TANH, TANH), "cell_scale": 2.0**-13},
    Int8Unary: {"function": TANH, "scale": Q15},
    Int8Affine: {"scale": Q12},
    Int8Binary: {"function": "Add", "scale": Q12, **FACTORS},
    Int8Compare: {"function": "Less", **FACTORS},
    Int8Where: {"scale": Q12},
    Int8Softmax: FACTOR,
    Int8LogSoftmax: {**FACTOR, "output_multiplier": 1 << 14, "output_shift": 14, "scale": Q12},
    Int8Reduce: {"function": "Sum", "scale": Q12, **FACTOR},
    Int8RunningReduce: {"function": "Sum", "size": 4, "input_scale": Q12, "scale": Q12, **FACTOR},
    Int8RunningSoftmax: {"groups": 2, "size": 3, "input_scale": Q12, **FACTOR},
    Int8LayerNorm: {"epsilon": 1, "norm_bits": 10, "scale": Q12},
}
EXTENTS: dict[str, Any] = {
    "rows": (2,), "size": 4, "input_size": 4, "output_size": 3, "hidden_size": 5, "groups": 2,
    "matrices": (2,), "n": 2, "k": 3, "m": 4, "shape": (4,), "a_shape": (4,), "b_shape": (4,), "frame": (4,),
    "ids": (2,), "row": (3,), "indices": (4,), "channels": (4,), "constants": (4,), "constant": (4,),
}  # fmt: skip
STARRED_SIZE = {"size": (4,)}  # where the size is that of an array of any shape


def example(kind: type[Operation]) -> Program:
    """A program in which an operation of this kind runs in every step."""
    if kind in (Repeat, TakeFrame, PutFrame):
        return looped_program()
    if kind in (ReadState, WriteState):
        return held_program()
    if kind in (Int8FineGate, Int32StateUpdate):
        return int32_state()
    if kind is Dequantize:
        kind = Quantize
    fields = {**_names(kind), **ATTRIBUTES.get(kind, {})}
    inputs = tuple(f"in{k}" for k in range(len(_ports(kind, fields))))
    bare = kind(name="op", inputs=inputs, outputs=(), **fields)
    sizes = _sizes(bare)
    random = np.random.default_rng(1)
    weights = _weights(bare, sizes, random)
    operations, ports, outputs = [], [], []
    for k, port in enumerate(bare.input_ports):
        shape, name = sizes.shape(port.shape), f"x{k}"
        dtype = port.dtype if port.dtype == "int32" else "float32"
        ports.append(InputDescription(name, shape, dtype))
        if port.dtype != "int16":
            bare = _renamed(bare, f"in{k}", name)
            continue
        weights |= {
            f"mean{k}": np.zeros(shape[-1:], np.float32),
            f"inverse{k}": np.full(shape[-1:], 1 / Q12, np.float32),
        }
        operations.append(
            Quantize(
                name=f"q{k}", inputs=(name,), outputs=(f"in{k}",), mean=f"mean{k}", inverse=f"inverse{k}", scale=Q12
            )
        )
    names = tuple(f"out{k}" for k in range(len(bare.output_ports)))
    operations.append(_with(bare, outputs=names))
    for k, port in enumerate(bare.output_ports):
        is_int16 = resolved(bare, port.dtype) == "int16"
        if is_int16:
            operations.append(Dequantize(name=f"d{k}", inputs=(names[k],), outputs=(f"y{k}",)))
        outputs.append(OutputDescription(f"y{k}", operations[-1].outputs[0] if is_int16 else names[k], per_frame=True))
    if not ports:  # a Constant
        ports.append(InputDescription("x0", (4,)))
        operations.append(Binary(name="add", inputs=("x0", names[0]), outputs=("y0",), function="Add"))
        outputs = [OutputDescription("y0", "y0", per_frame=True)]
    return Program(
        ProgramDescription(
            inputs=tuple(ports), outputs=tuple(outputs), operations=tuple(operations), state=_slots(bare, sizes)
        ),
        weights,
    )


def _names(kind: type[Operation]) -> dict[str, Any]:
    """A name for each weight, a region for each state."""
    names: dict[str, Any] = {field: f"W_{field}" for field in declared(kind, Weight)}
    names |= {"counts": None} if kind is Quantize else {}
    return names | {field: StateRegion(field) for field in declared(kind, State)}


def _with(operation: Operation, **changes: Any) -> Any:
    fields = {field: getattr(operation, field) for field in operation.__struct_fields__}
    return type(operation)(**(fields | changes))


def _renamed(operation: Operation, old: str, new: str) -> Any:
    return _with(operation, inputs=tuple(new if name == old else name for name in operation.inputs))


def _ports(kind: type[Operation], fields: dict[str, Any]) -> Any:
    return kind(name="op", inputs=(), outputs=(), **fields).input_ports


def _sizes(operation: Operation) -> Sizes:
    sizes = Sizes(operation)
    starred = any(port.shape == ("*size",) for port in (*operation.input_ports, *operation.output_ports))
    for symbol, extent in (EXTENTS | (STARRED_SIZE if starred else {})).items():
        if symbol not in sizes:
            sizes.set(**{symbol: extent})
    if isinstance(operation, Reduce | Int8Reduce):
        sizes.set(kept=(1,))
    if isinstance(operation, ArgMax):
        sizes.set(indices=(2,))
    if isinstance(operation, ConstantValue):
        sizes.set(size=(4,))
    return sizes


def _weights(operation: Operation, sizes: Sizes, random: np.random.Generator) -> dict[str, np.ndarray]:
    weights = {}
    for field, weight in declared(type(operation), Weight).items():
        name, shape, dtype = getattr(operation, field), sizes.shape(weight.shape), resolved(operation, weight.dtype)
        if name is None:
            continue
        if field == "inverse":
            array = np.full(shape, 1 / Q12)
        elif field == "indices":
            array = random.permutation(int(np.prod(shape)))
        elif dtype == "float32":
            array = random.uniform(-1, 1, shape)
        elif field.endswith("shift"):
            array = np.full(shape, 20)
        elif field.endswith("multiplier"):
            array = random.integers(1 << 14, 1 << 15, shape)
        else:
            array = random.integers(-100, 100, shape)
        weights[name] = array.astype(dtype)
    return weights


def _slots(operation: Operation, sizes: Sizes) -> tuple[StateSlot, ...]:
    return tuple(
        StateSlot(
            field,
            sizes.shape(state.shape) or (1,),
            resolved(operation, state.dtype),
            scale=resolved(operation, state.scale),
        )
        for field, state in declared(type(operation), State).items()
    )


def int32_state() -> Program:
    """A state of 32 bits that a fine gate lets in."""
    fine, scale = 2.0**-11, 2.0**-26
    update = Int32StateUpdate(
        name="update", inputs=("q", "gate"), outputs=("h", "high"), region=StateRegion("h"), shape=(4,),
        terms=(Int32StateTerm(x=0, gate=1),), scale=scale,
    )  # fmt: skip
    write = WriteState(
        name="write", inputs=("h",), outputs=(), region=StateRegion("h"), size=4, dtype="int32", scale=scale
    )
    operations = (
        Quantize(name="in", inputs=("x0",), outputs=("q",), mean="mean", inverse="inverse", scale=fine),
        Int8FineGate(name="gate", inputs=("q",), outputs=("gate",)),
        update,
        write,
        Dequantize(name="out", inputs=("high",), outputs=("y",)),
    )
    description = ProgramDescription(
        inputs=(InputDescription("x0", (4,)),),
        outputs=(OutputDescription("y", "y", per_frame=True),),
        operations=operations,
        state=(StateSlot("h", (4,), "int32", scale=scale),),
    )
    return Program(description, {"mean": np.zeros(4, np.float32), "inverse": np.full(4, 1 / fine, np.float32)})


def inputs_of(program: Program, steps: int = 5, seed: int = 3) -> dict[str, np.ndarray]:
    """Samples of every input; ids are those of small tables."""
    random = np.random.default_rng(seed)
    return {
        port.name: random.uniform(-2, 2, (steps, *port.shape)).astype(np.float32)
        if port.dtype == "float32"
        else random.integers(0, 2, (steps, *port.shape)).astype(port.dtype)
        for port in program.inputs
    }


def is_integer(kind: type[Operation]) -> bool:
    """Whether an operation computes in integers."""
    return issubclass(kind, IntegerOperation) or kind is Quantize
