"""Golden steps: inputs, and the outputs that the host computed for them; and the self-test that holds them as C."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import Template
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import ExportError
from edgernn.program.description import OutputDescription
from edgernn.program.operations import ArgMax, FloatOperation, Lookup, TopK
from edgernn.program.program import Program
from firmware_export.generate import TEMPLATES, CModel
from firmware_export.literals import C_TYPES, float_literal, reader, table

Array: TypeAlias = NDArray[Any]

FLOAT_TOLERANCE = 1e-5  # of float outputs, absolute below 1 and relative above
MIXED_TOLERANCE = 0.02  # of the largest number, where float stands before integers: its last bit may turn one of them


class Golden(NamedTuple):
    """Steps from a fresh state.

    Attributes
    ----------
    inputs : mapping of str to ndarray (steps, ...)
        What the C function takes, by input name: sensor counts where the program quantizes counts, else float.
    outputs : mapping of str to ndarray (frames, ...)
        What it must give, by output name: integers in an int8 program; behind those of the steps, the frames that
        `flush` brings.
    """

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(next(iter(self.inputs.values())))


class FrameSchedule(NamedTuple):
    """The steps in which an output comes: at `first`, then after every `every` steps; never where `first` is None.

    Where the stream is reset every `reset_steps` steps, it begins again there.
    """

    first: int | None
    every: int
    reset_steps: int | None = None

    def steps(self, steps: int) -> Sequence[int]:
        """Those of the first `steps` steps in which it comes."""
        if self.first is None:
            return range(0)
        if self.reset_steps is None:
            return range(self.first, steps, self.every)
        within = range(self.first, self.reset_steps, self.every)
        return [begin + step for begin in range(0, steps, self.reset_steps) for step in within if begin + step < steps]


def frame_schedule(program: Program, output: OutputDescription) -> FrameSchedule:
    """When an output comes while the stream goes on."""
    if program.staggered is not None:
        return FrameSchedule(program.staggered.steps - 1, program.staggered.hop)
    if output.when.at_end:
        waits = program.tail_steps > 0 and not program.runs_tail_in_each_step
        return FrameSchedule(None if waits else output.when.first, 1, program.running.reset_steps)
    return FrameSchedule(output.when.first, output.when.period, program.running.reset_steps)


def rest(program: Program, output: OutputDescription, steps: int) -> int:
    """How often an output comes when a stream of `steps` steps is flushed."""
    if program.staggered is not None or (output.when.at_end and program.description.tail == "step"):
        return 0
    tail = range(steps, steps + program.tail_steps)
    return sum(output.when.happens(step, steps, program.tail_steps) for step in tail)


def is_exact(program: Program) -> bool:
    """Whether a program gives the same bits everywhere: none of its operations computes in float."""
    return program.arithmetic == "int8" and not any(
        isinstance(operation, FloatOperation)
        and not isinstance(operation, ArgMax | TopK | Lookup)
        and program.values[operation.outputs[0]].dtype == "float32"
        for operation in program.operations
    )


def tolerance(program: Program, expected: Array) -> Array:
    """How far each number of an output (frames, size) may be off; ids and indices and what is exact must be equal."""
    largest = float(np.abs(expected).max(initial=0.0))
    if is_exact(program) or expected.dtype not in (np.float32, np.int16):
        return np.zeros(expected.shape)
    if program.arithmetic == "float32":
        return np.asarray(FLOAT_TOLERANCE * np.maximum(1.0, np.abs(expected)))
    most = MIXED_TOLERANCE * largest
    return np.full(expected.shape, np.ceil(most) if expected.dtype == np.int16 else max(FLOAT_TOLERANCE, most))


def selftest(model: CModel, golden: Golden) -> str:
    """C text of ``selftest.c``.

    Raises
    ------
    ExportError
        The golden steps do not belong to the program.
    """
    program = model.program
    buffers, tables, load, inputs, outputs = [], [], [], [], []
    for port in program.inputs:
        dtype, local = model.step.input_dtype(port.name), model.step.inputs[port.name]
        array = _checked(golden.inputs, port.name, (golden.steps, port.size), dtype)
        buffers.append(f"static {C_TYPES[dtype]} selftest_{local}[{port.size}];")
        tables.append(table(f"golden_{local}", array, f"{golden.steps} steps of {local}"))
        source = f"{reader(dtype)}(golden_{local} + {port.size}u * step + k)"
        load.append(f"    for (k = 0; k < {port.size}; k++) selftest_{local}[k] = {source};")
        inputs.append(f"selftest_{local}")
    before, compare, finish = 0, [], []  # numbers of the outputs before this one
    for index, (port, output) in enumerate(zip(program.outputs, model.outputs, strict=True)):
        dtype, local = model.step.dtype(output.value), model.step.outputs[port.name]
        frames = len(frame_schedule(program, output).steps(golden.steps)) + rest(program, output, golden.steps)
        array = _checked(golden.outputs, port.name, (frames, port.size), dtype)
        buffers.append(f"static {C_TYPES[dtype]} selftest_{local}[{port.size}];")
        tables.append(table(f"golden_{local}", array, f"{frames} frames of {local}"))
        compare += _compare(model, index, array[:frames], before)
        finish.append(f"    if (selftest_frames[{index}] != {frames}) return {before};")
        before += port.size
        outputs.append(f"selftest_{local}")
    values = {
        "prefix": model.prefix,
        "PREFIX": model.prefix.upper(),
        "file": model.file,
        "steps": golden.steps,
        "count": len(program.outputs),
        "new_frames": "selftest_state.new_frames[output]" if model.tells_new else "frames",
        "buffers": "\n".join(buffers),
        "tables": "\n\n".join(tables),
        "load": "\n".join(load),
        "compare": "\n".join(compare),
        "finish": "\n".join([*_flush(model), *finish]),
        "arguments": ", ".join([*inputs, *outputs]),
    }
    return Template((TEMPLATES / "selftest.c").read_text()).substitute(values)


def _flush(model: CModel) -> list[str]:
    """Lines that compare what comes when the stream is flushed."""
    if not model.flushes:
        return []
    outputs = [f"selftest_{model.step.outputs[output.name]}" for output in model.flushed]
    return [
        "    int frames;",
        f"    while ((frames = {model.prefix}_flush(&selftest_state, {', '.join(outputs)}))) {{",
        "        const int32_t different = selftest_compare(SELFTEST_STEPS, frames);",
        "        if (different >= 0) return different;",
        "    }",
    ]


def _checked(arrays: Mapping[str, Array], name: str, shape: tuple[int, int], dtype: str) -> Array:
    if name not in arrays:
        raise ExportError(f"the golden steps have no {name}")
    array = np.asarray(arrays[name])
    if array.size != shape[0] * shape[1]:
        raise ExportError(f"golden {name} has shape {array.shape}, it must hold {shape[0]} times {shape[1]} numbers")
    if not np.isfinite(array).all():
        raise ExportError(f"golden {name} holds a number that is not finite: does the model divide by 0?")
    converted = array.reshape(shape).astype(dtype)
    if dtype != "float32" and (converted != array.reshape(shape)).any():
        raise ExportError(f"golden {name} does not hold numbers of {dtype}")
    # a table has at least one element, even where no window is complete
    return converted if converted.size else np.zeros((1, shape[1]), dtype)


def _compare(model: CModel, index: int, golden: Array, before: int) -> list[str]:
    """Lines that compare one output (frames, size), which has `before` numbers of other outputs before it."""
    output, (frames, size) = model.outputs[index], golden.shape
    dtype, local = model.step.dtype(output.value), model.step.outputs[output.name]
    every = frame_schedule(model.program, output)
    due = "0" if every.first is None else f"selftest_due(step, {every.first}u, {every.every}u)"
    new = max(own.frames for own in model.outputs)
    if model.windowed or model.tells_new:
        new = 1 if model.windowed else output.frames
    expected = f"{reader(dtype)}(golden_{local} + {size}u * selftest_frames[{index}] + k)"
    condition = f"selftest_{local}[k] != expected"
    allowed = []
    most = float(tolerance(model.program, golden).max(initial=0.0))
    if most > 0:
        condition = f"!(selftest_{local}[k] <= expected + allowed && selftest_{local}[k] >= expected - allowed)"
        if model.program.arithmetic == "float32":
            allowed = ["            const float size = expected < 0.0f ? -expected : expected;"]
            factor = float_literal(FLOAT_TOLERANCE)
            allowed += [f"            const float allowed = {factor} * (size > 1.0f ? size : 1.0f);"]
        elif dtype == "float32":
            allowed = [f"            const float allowed = {float_literal(most)};"]
        else:
            allowed = [f"            const int32_t allowed = {int(most)};"]
    return [
        f"    if (step < SELFTEST_STEPS && selftest_new({index}, frames) != ({due} ? {new} : 0)) return {before};",
        f"    if (selftest_new({index}, frames)) {{",
        f"        if (selftest_frames[{index}] == {frames}) return {before};",
        f"        for (k = 0; k < {size}; k++) {{",
        f"            const {C_TYPES[dtype]} expected = {expected};",
        *allowed,
        f"            if ({condition}) return (int32_t)({before}u + k);",
        "        }",
        f"        selftest_frames[{index}]++;",
        "    }",
    ]
