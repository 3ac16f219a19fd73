"""The C functions of a model: reset, step, flush, windows, normalisation, decisions."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import ExportError
from edgernn.program.description import OutputDescription, StateSlot
from edgernn.program.operations import RunningReduce, RunningSoftmax
from edgernn.program.program import Program
from edgernn.program.scores import has_complement
from firmware_export import names
from firmware_export.body import body_function
from firmware_export.interface import Interface
from firmware_export.literals import literals, reader, two_floats
from firmware_export.statements import indented

SUM_SCALE = 2.0**-32  # EDGERNN_SUM_SCALE
MAX_SMOOTHING_STEPS = 65535  # sums of scores stay in 32 bits


def write_functions(model: Interface) -> str:
    """C text of all functions of a model."""
    parts = [body_function(model), _reset_slots_function(model), _reset_function(model)]
    if model.windowed:
        parts.append(_window_step(model))
    elif model.tells_new or model.step.clock.counts:
        parts += [*([_newest_function(model)] if model.tells_new else []), _scheduled_step(model)]
    else:
        parts.append(_plain_step(model))
    if model.flushes:
        parts.append(_flush_function(model))
    if model.normalises:
        parts.append(_normalise_function(model))
    if model.decides:
        parts += [_decide_function(model), _label_function(model)]
    return "\n".join(parts)


def _reset_slots_function(model: Interface) -> str:
    lines = ["(void)slots;"]
    for slot in model.program.state:
        lines += _reset_slot(model, slot)
    text = "\n".join(indented(lines))
    return f"static void {model.prefix}_reset_slots({model.prefix}_slots *slots) {{\n{text}\n}}\n"


def _reset_slot(model: Interface, slot: StateSlot) -> list[str]:
    """A loop that gives a state its initial content: zeros, one number, or those of a table."""
    loop = f"for (uint32_t k = 0; k < {slot.size}; k++)"
    content = np.zeros(1, np.int8) if slot.initial is None else model.program.weights[slot.initial]
    parts: dict[str, NDArray[Any]] = {"": content}
    if slot.dtype == "int64" and slot.initial is not None:
        words = _words(content)
        tables = [
            model.step.table(f"{slot.initial} {part}", half, f"initial content of state {slot.name}, {part} words")
            for part, half in zip(("high", "low"), words, strict=True)
        ]
        halves = (
            f"(uint64_t)(uint32_t)edgernn_read_int32({table} + k) << {shift}"
            for table, shift in zip(tables, (32, 0), strict=True)
        )
        return [f"{loop} slots->{model.step.slots[slot.name]}[k] = (int64_t)({' | '.join(halves)});"]
    if slot.dtype == "float64":
        if slot.initial is not None:
            content = content.ravel() * _scale_of_sums(model.program, slot)
        parts = dict(zip((".high", ".low"), two_floats(content), strict=True))
    lines = []
    for part, initial in parts.items():
        field = f"slots->{model.step.slots[slot.name]}[k]{part}"
        if (initial == initial.flat[0]).all():
            lines.append(f"{loop} {field} = {literals(initial.flat[:1])[0]};")
        else:
            table = model.step.table(
                slot.initial or "", initial, f"initial content of state {slot.name} {part}".strip()
            )
            lines.append(f"{loop} {field} = {reader(str(initial.dtype))}({table} + k);")
    return lines


def _scale_of_sums(program: Program, slot: StateSlot) -> NDArray[np.float64]:
    """What each number of a state is multiplied with: sums over time are kept smaller than they are."""
    regions = [
        (operation.total, operation.size)
        for operation in program.operations
        if isinstance(operation, RunningReduce) and operation.function in {"Sum", "Mean"}
    ]
    regions += [
        (operation.weighted, operation.groups * operation.size)
        for operation in program.operations
        if isinstance(operation, RunningSoftmax)
    ]
    scale = np.ones(slot.size)
    for region, size in regions:
        if region.slot == slot.name:
            scale[region.offset : region.offset + size] = SUM_SCALE
    return scale


def _words(array: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """High and low words of int64 numbers."""
    words = np.ascontiguousarray(array, "<i8").view("<i4").reshape(*array.shape, 2)
    return np.ascontiguousarray(words[..., 1]), np.ascontiguousarray(words[..., 0])


def _reset_function(model: Interface) -> str:
    lines = []
    if model.windowed:
        lines += [f"for (uint16_t k = 0; k < {model.copies}; k++) state->steps_left[k] = 0;"]
        lines += ["state->until_begin = 0;", "state->next = 0;"]
    elif model.step.clock.counts:
        lines += [f"state->{name} = 0;" for name in model.kept_counters]
    if model.reset_steps is not None:
        lines.append(f"state->until_reset = {model.reset_steps};")
    lines += _forget_new(model)
    lines.append(f"for (uint16_t k = 0; k < {model.copies}; k++) {model.prefix}_reset_slots(&state->slots[k]);")
    if model.decides:
        count = len(model.program.metadata.labels)
        size = count * model.program.metadata.decision.smoothing_steps
        lines += [
            "state->decision.outputs = state->decision.position = 0;",
            "state->decision.recognized = state->decision.candidate = -1;",
            "state->decision.held = state->decision.hold_off = 0;",
            f"for (uint32_t k = 0; k < {count}; k++) state->sums[k] = 0;",
            f"for (uint32_t k = 0; k < {size}; k++) state->ring[k] = 0;",
        ]
    return f"{model.signature('reset')} {{\n" + "\n".join(f"    {line}" for line in lines) + "\n}\n"


def _call(
    model: Interface, slots: str, counters: list[str], outputs: Collection[OutputDescription], *, inputs: bool = True
) -> str:
    """A call of the body with some of the outputs; the others, and the inputs of the tail, are NULL."""
    step = model.step
    passed = [f"&state->{slots}", "&state->scratch", *counters]
    passed += [name if inputs else "0" for name in step.inputs.values()]
    passed += [step.outputs[output.name] if output in outputs else "0" for output in model.outputs]
    passed += [f"state->{model.kept_name(output)}[k]" for output in step.kept]
    passed += ["state->new_frames"] if model.tells_new else []
    return f"{model.prefix}_body({', '.join(passed)});"


def _plain_step(model: Interface) -> str:
    frames = max(output.frames for output in model.outputs)
    lines = [*_reset_when_due(model), _call(model, "slots[0]", [], model.outputs), f"return {frames};"]
    return f"{model.signature('step')} {{\n" + "\n".join(indented(lines)) + "\n}\n"


def _reset_when_due(model: Interface) -> list[str]:
    """Lines that reset the stream every N steps."""
    if model.reset_steps is None:
        return []
    return [f"if (state->until_reset == 0) {model.prefix}_reset(state);", "state->until_reset--;"]


def _newest_function(model: Interface) -> str:
    """The most new frames that an output has."""
    count = len(model.outputs)
    lines = ["return state->new_frames[0];"]
    if count > 1:
        lines = [
            "int most = 0;",
            f"for (uint16_t k = 0; k < {count}; k++) {{",
            "    if (state->new_frames[k] > most) most = state->new_frames[k];",
            "}",
            "return most;",
        ]
    text = "\n".join(indented(lines))
    return f"static int {model.prefix}_newest(const {model.prefix}_state *state) {{\n{text}\n}}\n"


def _forget_new(model: Interface) -> list[str]:
    """Lines that say that no output is new."""
    return [f"for (uint16_t k = 0; k < {len(model.outputs)}; k++) state->new_frames[k] = 0;"] if model.tells_new else []


def _scheduled_step(model: Interface) -> str:
    """The step of a program that counts its steps."""
    clock, ends, runs_tail = model.step.clock, "ended" in model.counters, model.step.runs_tail
    lines = [*_reset_when_due(model), *_forget_new(model)]
    if model.flushes:
        lines.append("if (state->ended) return 0; /* the stream was flushed; only a reset begins another */")
    counters = [name for name, used in (("state->step", clock.counts), ("0", ends)) if used]
    at_end = [output for output in model.outputs if output.when.at_end and runs_tail]
    now = [output for output in model.outputs if output not in at_end]
    lines.append(_call(model, "slots[0]", counters, now))
    if runs_tail:
        counters = [f"({clock.c_type})(state->step + ended)", "ended"]
        lines += [
            "state->prefix = state->slots[0];",
            f"for ({clock.c_type} ended = 1; ended <= {clock.tail_steps}; ended++) {{",
            "    " + _call(model, "prefix", counters, at_end, inputs=False),
            "}",
        ]
    next_step = f"state->step + 1u < {clock.limit}u ? state->step + 1u : {clock.limit - clock.cycle}u"
    lines.append(f"state->step = ({clock.c_type})({next_step}); /* behind the first steps all repeats */")
    frames = max(output.frames for output in model.outputs)
    lines.append(f"return {model.prefix}_newest(state);" if model.tells_new else f"return {frames};")
    return f"{model.signature('step')} {{\n" + "\n".join(indented(lines)) + "\n}\n"


def _flush_function(model: Interface) -> str:
    """Steps of the tail, until one brings a frame or all are over."""
    clock = model.step.clock
    inside = [
        *_forget_new(model),
        "state->ended++;",
        _call(model, "slots[0]", ["state->step", "state->ended"], model.flushed, inputs=False),
        "state->step++;",
        f"if ({model.prefix}_newest(state)) return {model.prefix}_newest(state);",
    ]
    lines = [f"while (state->ended < {clock.tail_steps}u) {{", *indented(inside), "}", *_forget_new(model), "return 0;"]
    return f"{model.signature('flush')} {{\n" + "\n".join(indented(lines)) + "\n}\n"


def _window_step(model: Interface) -> str:
    window, clock = model.program.staggered, model.step.clock
    assert window is not None
    ends = "ended" in model.counters
    now = [f"({clock.c_type})({window.steps}u - state->steps_left[k])", *(["0"] if ends else [])]
    tail = []
    if ends:
        counters = [f"({clock.c_type})({window.steps - 1}u + ended)", "ended"]
        tail = [
            f"for ({clock.c_type} ended = 1; ended <= {clock.tail_steps}; ended++) {{",
            "    " + _call(model, "slots[k]", counters, model.outputs, inputs=False),
            "}",
        ]
    due = "".join(f"        {line}\n" for line in [*tail, "new_frames = 1;"])
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
    {_call(model, "slots[k]", now, model.outputs)}
    if (--state->steps_left[k] == 0) {{
{due}    }}
}}
return new_frames;
}}
"""


def _normalise_function(model: Interface) -> str:
    lines = []
    for port, raw, x in model.normalised_inputs():
        mean, std = (
            model.step.table(f"{what} of {port.name}", numbers.astype(np.float32).ravel(), f"{what} of {port.name}")
            for what, numbers in zip(("mean", "std"), model.program.normalisation(port.name) or (), strict=True)
        )
        lines += [
            f"    for (uint16_t k = 0; k < {port.size}; k++) {{",
            f"        {x}[k] = ({raw}[k] - edgernn_read_float({mean} + k)) / edgernn_read_float({std} + k);",
            "    }",
        ]
    return f"{model.signature('normalise')} {{\n" + "\n".join(lines) + "\n}\n"


def _decide_function(model: Interface) -> str:
    settings, labels = model.program.metadata.decision, model.program.metadata.labels
    if settings.smoothing_steps > MAX_SMOOTHING_STEPS:
        raise ExportError(
            f"decision.smoothing_steps is {settings.smoothing_steps}, in firmware at most {MAX_SMOOTHING_STEPS}"
        )
    model.step.need("decide")
    nothing = -1 if settings.nothing is None else labels.index(settings.nothing)
    threshold, release = (int(score * 32768 + 0.5) for score in (settings.threshold, settings.release))
    is_float = model.output_type(model.program.outputs[0].name) == "float"
    if is_float:
        model.step.need("score_float")
    scores = _scores(model, is_float)
    rules = [settings.smoothing_steps, threshold, release, settings.minimum_steps, settings.hold_off_steps, nothing]
    arguments = ", ".join(str(rule) for rule in (len(labels), *rules))
    return f"""{model.signature("decide")} {{
uint16_t whole[{len(labels)}];
{scores}
if (!edgernn_decide(&state->decision, state->ring, state->sums, whole, {arguments})) return 0;
event->label = (uint16_t)state->decision.recognized;
event->score = (uint16_t)(state->sums[event->label] / state->decision.outputs);
return 1;
}}
"""


def _scores(model: Interface, is_float: bool) -> str:
    """C lines that bring the scores of a frame to 1/32768."""
    layout, labels = model.score_layout, len(model.program.metadata.labels)
    if has_complement(layout.size, labels):
        score = f"scores[{layout.place(0, layout.frames - 1 if layout.newest_only else 0)}]"
        first, second = f"32768 - {score}", score
        if is_float:
            first, second = f"edgernn_score(1.0f - {score})", f"edgernn_score({score})"
        else:
            first, second = f"(uint16_t)({first})", f"(uint16_t){second}"
        return f"whole[0] = {first}; /* one score is the probability of the second label */\nwhole[1] = {second};"
    index = "k"
    if layout.frames > 1 and layout.inner < layout.size:
        index = f"(uint32_t)(k / {layout.inner}u) * {layout.frames * layout.inner}u + k % {layout.inner}u"
    if layout.newest_only and layout.frames > 1:
        index = f"{(layout.frames - 1) * layout.inner}u + {index}"
    score = f"edgernn_score(scores[{index}])" if is_float else f"(uint16_t)scores[{index}]"
    return f"for (uint16_t k = 0; k < {labels}; k++) whole[k] = {score};"


def _label_function(model: Interface) -> str:
    cases = "\n".join(
        f"        case {index}: return {names.string(label)};"
        for index, label in enumerate(model.program.metadata.labels)
    )
    return f'{model.signature("label")} {{\n    switch (label) {{\n{cases}\n        default: return "";\n    }}\n}}\n'
