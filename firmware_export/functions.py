"""The C functions of a model: one step on one state, reset, step, windows, normalisation, decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgernn.errors import ExportError
from firmware_export import names
from firmware_export.emitters.layout import copy
from firmware_export.literals import C_TYPES, reader

if TYPE_CHECKING:
    from firmware_export.generate import CModel

MAX_SMOOTHING_STEPS = 65535  # sums of scores stay in 32 bits


def write_functions(model: CModel) -> str:
    """C text of all functions of a model."""
    parts = [_body_function(model), _reset_slots_function(model), _reset_function(model)]
    parts.append(_window_step(model) if model.windowed else _plain_step(model))
    if model.normalises:
        parts.append(_normalise_function(model))
    if model.decides:
        parts += [_decide_function(model), _label_function(model)]
    return "\n".join(parts)


def _parameters(model: CModel) -> tuple[list[str], list[str]]:
    """Declarations of the inputs and outputs as parameters, and their names."""
    declared, passed = [], []
    for port in model.program.inputs:
        declared.append(f"const {C_TYPES[model.step.input_dtype(port.name)]} *{model.step.inputs[port.name]}")
        passed.append(model.step.inputs[port.name])
    for output in model.program.outputs:
        declared.append(f"{model.output_type(output.name)} *{model.step.outputs[output.name]}")
        passed.append(model.step.outputs[output.name])
    return declared, passed


def _body_function(model: CModel) -> str:
    """All operations on one state."""
    declared, _ = _parameters(model)
    parameters = [f"{model.prefix}_slots *slots", f"{model.prefix}_scratch *scratch", *declared]
    lines = ["(void)slots;", "(void)scratch;", *(line for block in model.update for line in block)]
    if model.windowed:
        frames = {output.name: f"frames_of_{model.step.outputs[output.name]}" for output in model.frame_outputs}
        parameters += [f"{model.output_type(name)} *{frame}" for name, frame in frames.items()]
        parameters += ["uint32_t frame", "int last"]
        lines += _keep_frames(model, frames)
        lines.append("if (!last) return;")
    lines += [line for block in model.head for line in block]
    for output in model.program.description.outputs:
        y, source = model.step.outputs[output.name], model.step.place(output.value)
        if model.windowed and output.per_frame:
            lines += copy(model.output_size(output.name), y, frames[output.name])
        elif y != source:
            lines += copy(model.output_size(output.name), y, source)
    text = "\n".join("    " + line if line else "" for line in lines)
    return f"static void {model.prefix}_body({', '.join(parameters)}) {{\n{text}\n}}\n"


def _keep_frames(model: CModel, frames: dict[str, str]) -> list[str]:
    """Lines that put this step's frame into the window's frames."""
    lines = ["(void)frame;"] if not frames else []
    assert model.program.window is not None
    for output in model.frame_outputs:
        value = model.program.values[output.value]
        inner = 1
        for extent in value.shape[output.time_axis :]:
            inner *= extent
        outer, steps = value.size // inner, model.program.window.steps
        source = model.step.place(output.value)
        target = f"({frames[output.name]})[({steps}u * i0 + frame) * {inner}u + i1]"
        lines += [
            f"for (uint32_t i0 = 0; i0 < {outer}; i0++) {{",
            f"    for (uint32_t i1 = 0; i1 < {inner}; i1++) {target} = ({source})[{inner}u * i0 + i1];",
            "}",
        ]
    return lines


def _reset_slots_function(model: CModel) -> str:
    lines = ["    (void)slots;"]
    for slot in model.program.state:
        field = f"slots->{model.step.slots[slot.name]}"
        if slot.initial is None:
            lines.append(f"    for (uint32_t k = 0; k < {slot.size}; k++) {field}[k] = 0;")
        else:
            initial = model.program.weights[slot.initial]
            name = model.step.table(slot.initial, initial, f"initial content of state {slot.name}")
            lines.append(
                f"    for (uint32_t k = 0; k < {slot.size}; k++) {field}[k] = {reader(str(initial.dtype))}({name} + k);"
            )
    return f"static void {model.prefix}_reset_slots({model.prefix}_slots *slots) {{\n" + "\n".join(lines) + "\n}\n"


def _reset_function(model: CModel) -> str:
    lines = []
    if model.windowed:
        lines += [f"for (uint16_t k = 0; k < {model.copies}; k++) state->steps_left[k] = 0;"]
        lines += ["state->until_begin = 0;", "state->next = 0;"]
    lines.append(f"for (uint16_t k = 0; k < {model.copies}; k++) {model.prefix}_reset_slots(&state->slots[k]);")
    if model.decides:
        count = len(model.program.metadata.labels)
        size = count * model.program.metadata.decision.smoothing_steps
        lines += [
            "state->decision.outputs = state->decision.position = 0;",
            "state->decision.recognised = state->decision.candidate = -1;",
            "state->decision.held = state->decision.hold_off = 0;",
            f"for (uint32_t k = 0; k < {count}; k++) state->sums[k] = 0;",
            f"for (uint32_t k = 0; k < {size}; k++) state->ring[k] = 0;",
        ]
    return f"{model.signature('reset')} {{\n" + "\n".join(f"    {line}" for line in lines) + "\n}\n"


def _plain_step(model: CModel) -> str:
    _, passed = _parameters(model)
    call = f"{model.prefix}_body(&state->slots[0], &state->scratch, {', '.join(passed)});"
    return f"{model.signature('step')} {{\n    {call}\n    return 1;\n}}\n"


def _window_step(model: CModel) -> str:
    window = model.program.window
    assert window is not None
    _, passed = _parameters(model)
    frames = [f"state->frames_of_{model.step.outputs[output.name]}[k]" for output in model.frame_outputs]
    call = ", ".join([*passed, *frames, f"{window.steps}u - state->steps_left[k]", "state->steps_left[k] == 1"])
    return f"""{model.signature("step")} {{
int new_frames = 0;
if (state->until_begin == 0) {{
    {model.prefix}_reset_slots(&state->slots[state->next]);
    state->steps_left[state->next] = {window.steps};
    state->next = (uint16_t)(state->next + 1u < {model.copies}u ? state->next + 1u : 0u);
    state->until_begin = {window.hop};
}}
state->until_begin--;
for (uint16_t k = 0; k < {model.copies}; k++) {{
    if (state->steps_left[k] == 0) continue;
    {model.prefix}_body(&state->slots[k], &state->scratch, {call});
    if (--state->steps_left[k] == 0) new_frames = 1;
}}
return new_frames;
}}
"""


def _normalise_function(model: CModel) -> str:
    metadata = model.program.metadata
    mean, std = (
        model.step.table(f"{what}_of_input", np.array(numbers, np.float32), f"{what} of the input")
        for what, numbers in (("mean", metadata.mean), ("std", metadata.std))
    )
    lines = [
        f"    for (uint16_t k = 0; k < {len(metadata.mean)}; k++) {{",
        f"        x[k] = (raw[k] - edgernn_read_float({mean} + k)) / edgernn_read_float({std} + k);",
        "    }",
    ]
    return f"{model.signature('normalise')} {{\n" + "\n".join(lines) + "\n}\n"


def _decide_function(model: CModel) -> str:
    settings, labels = model.program.metadata.decision, model.program.metadata.labels
    if settings.smoothing_steps > MAX_SMOOTHING_STEPS:
        raise ExportError(
            f"decision.smoothing_steps is {settings.smoothing_steps}, in firmware at most {MAX_SMOOTHING_STEPS}"
        )
    model.step.need("decide")
    nothing = -1 if settings.nothing is None else labels.index(settings.nothing)
    threshold, release = (int(score * 32768 + 0.5) for score in (settings.threshold, settings.release))
    score = "(uint16_t)scores[k]"
    if model.output_type(model.program.outputs[0].name) == "float":
        model.step.need("score_float")
        score = "edgernn_score(scores[k])"
    rules = [settings.smoothing_steps, threshold, release, settings.minimum_steps, settings.hold_off_steps, nothing]
    arguments = ", ".join(str(rule) for rule in (len(labels), *rules))
    return f"""{model.signature("decide")} {{
uint16_t whole[{len(labels)}];
for (uint16_t k = 0; k < {len(labels)}; k++) whole[k] = {score};
if (!edgernn_decide(&state->decision, state->ring, state->sums, whole, {arguments})) return 0;
event->label = (uint16_t)state->decision.recognised;
event->score = (uint16_t)(state->sums[event->label] / state->decision.outputs);
return 1;
}}
"""


def _label_function(model: CModel) -> str:
    cases = "\n".join(
        f"        case {index}: return {names.string(label)};"
        for index, label in enumerate(model.program.metadata.labels)
    )
    return f'{model.signature("label")} {{\n    switch (label) {{\n{cases}\n        default: return "";\n    }}\n}}\n'
