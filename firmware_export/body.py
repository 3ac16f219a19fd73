"""The C function that runs all operations of one step on one state."""

from __future__ import annotations

from edgernn.program.description import OutputDescription
from firmware_export.emitters.c_loops import copy
from firmware_export.interface import Interface
from firmware_export.literals import C_TYPES
from firmware_export.statements import indented


def body_function(model: Interface) -> str:
    """C text of the function."""
    step = model.step
    lines = [*model.update, *_keep_frames(model)]
    declared = []
    if model.windowed:
        lines.append(f"if (step != {model.last_step}u) return;")
    lines += model.head
    for index, output in enumerate(model.outputs):
        lines += _give(model, index, output)
    for when, flag in step.clock.flags.items():
        if flag in step.flags_in_use:
            going = step.clock.tail_steps and not when.at_end and when.tail == 0
            # in the tail inputs are NULL: nothing may read them, and compilers shall see it
            terms = [step.clock.condition(when), *(step.inputs.values() if going else ())]
            declared.append(f"const int {flag} = {' && '.join(terms)};")
    read = {step.place(name) for name in (*step.read, *(output.value for output in model.outputs))}
    unread = [name for name in step.inputs.values() if name not in read]
    unused = [f"(void){name};" for name in ("slots", "scratch", *model.counters, *unread)]
    text = "\n".join(indented([*unused, *declared, *lines]))
    return f"static void {model.prefix}_body({', '.join(_parameters(model))}) {{\n{text}\n}}\n"


def _parameters(model: Interface) -> list[str]:
    """Declarations of the parameters: memory, counters, inputs, outputs, and what tells which of those are new."""
    step, prefix = model.step, model.prefix
    declared = [f"{prefix}_slots *slots", f"{prefix}_scratch *scratch"]
    declared += [f"{step.clock.c_type} {name}" for name in model.counters]
    declared += [
        f"const {C_TYPES[step.input_dtype(port.name)]} *{step.inputs[port.name]}" for port in model.program.inputs
    ]
    declared += [f"{model.output_type(output.name)} *{step.outputs[output.name]}" for output in model.outputs]
    declared += [f"{model.output_type(output.name)} *{model.kept_name(output)}" for output in step.kept]
    return [*declared, "int16_t *new_frames"] if model.tells_new else declared


def _keep_frames(model: Interface) -> list[str]:
    """Lines that put this step's outputs into the window's frames."""
    step, lines = model.step, []
    for output in step.kept:
        when = step.clock.when(output.when)
        size = step.value(output.value).size
        inner = 1
        for extent in step.value(output.value).shape[output.time_axis :] if output.per_frame else ():
            inner *= extent
        source, target = step.place(output.value), model.kept_name(output)
        own = copy(size, target, source)
        if output.per_frame:
            frame = f"step - {when.first}u" if when.first else "step"
            if when.period > 1:
                frame = f"({frame}) / {when.period}u"
            own = [
                f"for (uint32_t i0 = 0; i0 < {size // inner}; i0++) {{",
                f"    for (uint32_t i1 = 0; i1 < {inner}; i1++) "
                f"{target}[({output.when.frames(model.steps)}u * i0 + {frame}) * {inner}u + i1] = "
                f"({source})[{inner}u * i0 + i1];",
                "}",
            ]
        flag = step.flag(when)
        lines += [f"if ({flag}) {{", *indented(own), "}"] if flag else own
    return lines


def _give(model: Interface, index: int, output: OutputDescription) -> list[str]:
    """Lines that bring an output to the caller, and tell that it is new."""
    step = model.step
    y, source, size = step.outputs[output.name], step.place(output.value), model.output_size(output.name)
    if model.windowed:
        return copy(size, y, model.kept_name(output) if output in step.kept else source)
    lines = [] if y == source else copy(size, y, source)
    if not model.tells_new:
        return lines
    flag = step.flag(step.clock.when(output.when))
    condition = " && ".join([*([flag] if flag else []), *([y] if step.may_be_null(output) else [])])
    lines.append(f"new_frames[{index}] = {output.frames};")
    return [f"if ({condition}) {{", *indented(lines), "}"] if condition else lines
