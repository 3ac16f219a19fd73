"""A Program to one C header: declarations, the pieces of the runtime that it needs, tables, functions."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from string import Template

import numpy as np

from edgernn.errors import ExportError
from edgernn.operations import Dequantize, Int8Softmax, Int8Unary, IntegerFunction, Softmax, Unary
from edgernn.program import OutputDescription, Program, StateSlot
from firmware_export import emitters, names, pieces
from firmware_export.emitters.layout import copy
from firmware_export.literals import C_TYPES, reader
from firmware_export.memory import TYPE_BYTES

TEMPLATES = Path(__file__).parent / "templates"
MAX_SMOOTHING_STEPS = 65535  # sums of scores stay in 32 bits


class CModel:
    """The C form of one program.

    Parameters
    ----------
    program : Program
    name : str
        What the model is called; its identifiers begin with the C form of this.
    banner : sequence of str
        Lines for the head of the file; they are made safe here.

    Raises
    ------
    ExportError
        An operation or a number type has no C form.

    Examples
    --------
    >>> from edgernn.operations import Dense
    >>> from edgernn.program import InputDescription, OutputDescription, ProgramDescription
    >>> import numpy as np
    >>> description = ProgramDescription(
    ...     inputs=(InputDescription("x", (2,)),),
    ...     outputs=(OutputDescription("y", "y", per_frame=True),),
    ...     operations=(Dense(name="sum", inputs=("x",), outputs=("y",), W="W"),),
    ... )
    >>> model = CModel(Program(description, {"W": np.ones((1, 2), np.float32)}), "add up")
    >>> model.prefix, model.signature("step")
    ('add_up', 'int add_up_step(add_up_state *state, const float x[2], float y[1])')
    """

    def __init__(self, program: Program, name: str, banner: tuple[str, ...] = ()) -> None:
        self.program = program
        self.prefix = names.identifier(name)
        self.banner = banner
        self.file = f"{self.prefix}.h"
        self.step = emitters.writer(program, self.prefix)
        self._check_types()
        self._update = [self._written(operation) for operation in self.step.update]
        self._head = [self._written(operation) for operation in self.step.head]

    def _check_types(self) -> None:
        for what, dtypes in (
            ("input", [self.step.input_dtype(port.name) for port in self.program.inputs]),
            ("state", [slot.dtype for slot in self.program.state]),
        ):
            for dtype in dtypes:
                if dtype not in C_TYPES:
                    raise ExportError(f"an {what} of {dtype} cannot be written as C")

    def _written(self, operation: emitters.AnyOperation) -> list[str]:
        lines = emitters.write(self.step, operation)
        title = names.comment(f"{operation.name} ({type(operation).__name__})")
        return [f"/* {title} */", *lines] if lines else []

    # parts of the interface

    @property
    def windowed(self) -> bool:
        """Whether states run side by side on sliding windows."""
        return self.program.window is not None

    @property
    def copies(self) -> int:
        """States that run side by side."""
        return self.program.window.copies if self.program.window else 1

    @cached_property
    def decides(self) -> bool:
        """Whether the model has a decide function: labels, and scores that are probabilities."""
        labels, output = self.program.metadata.labels, self.program.description.outputs[0]
        makers = {name: operation for operation in self.program.operations for name in operation.outputs}
        maker = makers.get(output.value)
        if isinstance(maker, Dequantize):
            maker = makers.get(maker.inputs[0])
        if self.program.outputs[0].size != len(labels):
            return False
        match maker:
            case Softmax(logarithm=False) | Unary(function="Sigmoid") | Int8Softmax():
                return True
            case Int8Unary(function=IntegerFunction(function="Sigmoid")):
                return True
        return False

    def output_size(self, name: str) -> int:
        """Numbers in one frame of an output."""
        return next(port.size for port in self.program.outputs if port.name == name)

    def output_type(self, name: str) -> str:
        """C type of an output."""
        return C_TYPES[self.step.dtype(self.step.output_value(name))]

    @property
    def table_bytes(self) -> int:
        """Bytes of the constants in flash, those of the runtime included."""
        self.text  # the last tables are made while it is written
        return sum(self.step.table_bytes.values()) + pieces.table_bytes(self.step.pieces)

    @property
    def largest_table(self) -> int:
        """Bytes of the largest table."""
        self.text
        return max(self.step.table_bytes.values(), default=0)

    @property
    def state_bytes(self) -> int:
        """Bytes of the state structure, padding aside."""
        slots = sum(TYPE_BYTES[slot.dtype] * slot.size for slot in self.program.state)
        total = self.copies * slots + self.step.scratch_bytes
        for output in self._frame_outputs():
            total += self.copies * self.output_size(output.name) * TYPE_BYTES[self.step.dtype(output.value)]
        if self.windowed:
            total += 4 * self.copies + 6
        if self.decides:
            labels = len(self.program.metadata.labels)
            total += 20 + labels * (4 + 2 * self.program.metadata.decision.smoothing_steps)
        return total

    def signature(self, function: str) -> str:
        """Declaration of one of the public functions, without the semicolon."""
        state = f"{self.prefix}_state *state"
        match function:
            case "reset":
                return f"void {self.prefix}_reset({state})"
            case "step":
                inputs = [
                    f"const {C_TYPES[self.step.input_dtype(port.name)]} {self.step.inputs[port.name]}[{port.size}]"
                    for port in self.program.inputs
                ]
                outputs = [
                    f"{self.output_type(port.name)} {self.step.outputs[port.name]}[{port.size}]"
                    for port in self.program.outputs
                ]
                return f"int {self.prefix}_step({', '.join([state, *inputs, *outputs])})"
            case "decide":
                output = self.program.outputs[0].name
                scores = f"const {self.output_type(output)} scores[{len(self.program.metadata.labels)}]"
                return f"int {self.prefix}_decide({state}, {scores}, {self.prefix}_event *event)"
            case "label":
                return f"const char *{self.prefix}_label(uint16_t label)"
            case _:
                size = self.program.inputs[0].size
                return f"void {self.prefix}_normalise(const float raw[{size}], float x[{size}])"

    @property
    def normalises(self) -> bool:
        """Whether the caller must bring raw numbers to the model's scale: a float input and a mean in the metadata."""
        metadata, port = self.program.metadata, self.program.inputs[0]
        return bool(metadata.mean) and self.step.input_dtype(port.name) == "float32" and len(metadata.mean) == port.size

    # text

    @cached_property
    def text(self) -> str:
        """The header."""
        functions = self._functions()
        values = {
            "banner": "\n".join(f" * {names.comment(line)}".rstrip() for line in self.banner or (self.prefix,)),
            "file": self.file,
            "prefix": self.prefix,
            "PREFIX": self.prefix.upper(),
            "arguments": ", ".join([*self.step.inputs.values(), *self.step.outputs.values()]),
            "declarations": self._declarations(),
            "fingerprint": pieces.fingerprint(),
            "functions": functions,
            "runtime": pieces.text(self.step.pieces),
            "tables": "\n\n".join([*self.step.tables, *self.step.functions]),
        }
        return Template((TEMPLATES / "model.h").read_text()).substitute(values)

    def _declarations(self) -> str:
        program = self.program
        parts = ["enum {\n" + "\n".join(f"    {line}" for line in self._constants()) + "\n};\n"]
        parts.append(self._structure("slots", [self._field(slot) for slot in program.state], "states of the model"))
        scratch = [
            f"{C_TYPES[dtype]} {C_TYPES[dtype].removesuffix('_t')}_values[{count}] EDGERNN_ALIGNED;"
            for dtype, count in sorted(self.step.scratch.items(), key=lambda item: -TYPE_BYTES[item[0]])
        ]
        parts.append(self._structure("scratch", scratch, "intermediate values; mean nothing between steps"))
        if self.decides:
            parts.append((TEMPLATES / "decision.h").read_text())
            parts.append(
                self._structure(
                    "event", ["uint16_t label;", "uint16_t score; /* smoothed, in 1/32768 */"], "what was recognised"
                )
            )
        parts.append(self._structure("state", self._state_fields(), "all memory of one stream"))
        parts.append(f"/* Forgets everything; must come before the first step. */\n{self.signature('reset')};\n")
        parts.append(f"/* {self._step_comment()} */\n{self.signature('step')};\n")
        if self.normalises:
            parts.append(
                f"/* Brings raw numbers to the scale of the model: (raw - mean) / std. */\n{self.signature('normalise')};\n"
            )
        if self.decides:
            parts.append(
                "/* Whether the scores of the newest output make an event; call it once for each output. */\n"
                f"{self.signature('decide')};\n"
            )
            parts.append(f'/* Name of a label, UTF-8; "" if there is none. */\n{self.signature("label")};\n')
        return "\n".join(parts)

    def _constants(self) -> list[str]:
        prefix = self.prefix.upper()
        sizes = [(self.step.inputs[port.name], port.size) for port in self.program.inputs]
        sizes += [(self.step.outputs[port.name], port.size) for port in self.program.outputs]
        lines = [f"{prefix}_{name.upper()}_SIZE = {size}," for name, size in sizes]
        if self.program.metadata.labels:
            lines.append(f"{prefix}_LABELS = {len(self.program.metadata.labels)},")
        lines.append(f"{prefix}_WARMUP_STEPS = {self.program.warmup_steps},")
        return lines

    def _structure(self, name: str, fields: list[str], comment: str) -> str:
        body = "\n".join(f"    {field}" for field in fields or ["uint8_t unused;"])
        return f"/* {comment} */\ntypedef struct {{\n{body}\n}} {self.prefix}_{name};\n"

    def _field(self, slot: StateSlot) -> str:
        shape = " x ".join(str(extent) for extent in slot.shape)
        return f"{C_TYPES[slot.dtype]} {self.step.slots[slot.name]}[{slot.size}]; /* {names.comment(slot.name)}, {shape} */"

    def _state_fields(self) -> list[str]:
        fields = [f"{self.prefix}_slots slots[{self.copies}];", f"{self.prefix}_scratch scratch;"]
        if self.windowed:
            fields.append(f"uint32_t steps_left[{self.copies}]; /* of each window that runs */")
            fields.append("uint32_t until_begin; /* of the next window */")
            fields.append("uint16_t next; /* state that it takes */")
            for output in self._frame_outputs():
                size = self.output_size(output.name)
                name = self.step.outputs[output.name]
                fields.append(f"{self.output_type(output.name)} frames_of_{name}[{self.copies}][{size}];")
        if self.decides:
            count = len(self.program.metadata.labels)
            smoothing = self.program.metadata.decision.smoothing_steps
            fields.append("edgernn_decision decision;")
            fields.append(f"int32_t sums[{count}]; /* of the scores in the ring */")
            fields.append(f"uint16_t ring[{smoothing * count}]; /* the newest {smoothing} scores of each label */")
        return fields

    def _frame_outputs(self) -> list[OutputDescription]:
        return [output for output in self.program.description.outputs if self.windowed and output.per_frame]

    def _step_comment(self) -> str:
        window = self.program.window
        if window is None:
            return "One time step. Returns the number of new frames in the outputs: always 1."
        return (
            f"One time step. Returns 1 when a window of {window.steps} steps is complete and the outputs are new, "
            f"every {window.hop} steps, else 0."
        )

    def _functions(self) -> str:
        parts = [self._body_function(), self._reset_slots_function(), self._reset_function()]
        parts.append(self._window_step() if self.windowed else self._plain_step())
        if self.normalises:
            parts.append(self._normalise_function())
        if self.decides:
            parts += [self._decide_function(), self._label_function()]
        return "\n".join(parts)

    def _parameters(self) -> tuple[list[str], list[str]]:
        """Declarations of the inputs and outputs as parameters, and their names."""
        declared, passed = [], []
        for port in self.program.inputs:
            declared.append(f"const {C_TYPES[self.step.input_dtype(port.name)]} *{self.step.inputs[port.name]}")
            passed.append(self.step.inputs[port.name])
        for output in self.program.outputs:
            declared.append(f"{self.output_type(output.name)} *{self.step.outputs[output.name]}")
            passed.append(self.step.outputs[output.name])
        return declared, passed

    def _body_function(self) -> str:
        """All operations on one state."""
        declared, _ = self._parameters()
        parameters = [f"{self.prefix}_slots *slots", f"{self.prefix}_scratch *scratch", *declared]
        lines = ["(void)slots;", "(void)scratch;", *(line for block in self._update for line in block)]
        if self.windowed:
            frames = {output.name: f"frames_of_{self.step.outputs[output.name]}" for output in self._frame_outputs()}
            parameters += [f"{self.output_type(name)} *{frame}" for name, frame in frames.items()]
            parameters += ["uint32_t frame", "int last"]
            lines += self._keep_frames(frames)
            lines.append("if (!last) return;")
        lines += [line for block in self._head for line in block]
        for output in self.program.description.outputs:
            y, source = self.step.outputs[output.name], self.step.place(output.value)
            if self.windowed and output.per_frame:
                lines += copy(self.output_size(output.name), y, frames[output.name])
            elif y != source:
                lines += copy(self.output_size(output.name), y, source)
        text = "\n".join("    " + line if line else "" for line in lines)
        return f"static void {self.prefix}_body({', '.join(parameters)}) {{\n{text}\n}}\n"

    def _keep_frames(self, frames: dict[str, str]) -> list[str]:
        """Lines that put this step's frame into the window's frames."""
        lines = ["(void)frame;"] if not frames else []
        assert self.program.window is not None
        for output in self._frame_outputs():
            value = self.program.values[output.value]
            inner = 1
            for extent in value.shape[output.time_axis :]:
                inner *= extent
            outer, steps = value.size // inner, self.program.window.steps
            source = self.step.place(output.value)
            target = f"({frames[output.name]})[({steps}u * i0 + frame) * {inner}u + i1]"
            lines += [
                f"for (uint32_t i0 = 0; i0 < {outer}; i0++) {{",
                f"    for (uint32_t i1 = 0; i1 < {inner}; i1++) {target} = ({source})[{inner}u * i0 + i1];",
                "}",
            ]
        return lines

    def _reset_slots_function(self) -> str:
        lines = ["    (void)slots;"]
        for slot in self.program.state:
            field = f"slots->{self.step.slots[slot.name]}"
            if slot.initial is None:
                lines.append(f"    for (uint32_t k = 0; k < {slot.size}; k++) {field}[k] = 0;")
            else:
                initial = self.program.weights[slot.initial]
                name = self.step.table(slot.initial, initial, f"initial content of state {slot.name}")
                lines.append(
                    f"    for (uint32_t k = 0; k < {slot.size}; k++) {field}[k] = {reader(str(initial.dtype))}({name} + k);"
                )
        return f"static void {self.prefix}_reset_slots({self.prefix}_slots *slots) {{\n" + "\n".join(lines) + "\n}\n"

    def _reset_function(self) -> str:
        lines = []
        if self.windowed:
            lines += [f"for (uint16_t k = 0; k < {self.copies}; k++) state->steps_left[k] = 0;"]
            lines += ["state->until_begin = 0;", "state->next = 0;"]
        lines.append(f"for (uint16_t k = 0; k < {self.copies}; k++) {self.prefix}_reset_slots(&state->slots[k]);")
        if self.decides:
            count = len(self.program.metadata.labels)
            size = count * self.program.metadata.decision.smoothing_steps
            lines += [
                "state->decision.outputs = state->decision.position = 0;",
                "state->decision.recognised = state->decision.candidate = -1;",
                "state->decision.held = state->decision.hold_off = 0;",
                f"for (uint32_t k = 0; k < {count}; k++) state->sums[k] = 0;",
                f"for (uint32_t k = 0; k < {size}; k++) state->ring[k] = 0;",
            ]
        return f"{self.signature('reset')} {{\n" + "\n".join(f"    {line}" for line in lines) + "\n}\n"

    def _plain_step(self) -> str:
        _, passed = self._parameters()
        call = f"{self.prefix}_body(&state->slots[0], &state->scratch, {', '.join(passed)});"
        return f"{self.signature('step')} {{\n    {call}\n    return 1;\n}}\n"

    def _window_step(self) -> str:
        window = self.program.window
        assert window is not None
        _, passed = self._parameters()
        frames = [f"state->frames_of_{self.step.outputs[output.name]}[k]" for output in self._frame_outputs()]
        call = ", ".join([*passed, *frames, f"{window.steps}u - state->steps_left[k]", "state->steps_left[k] == 1"])
        return f"""{self.signature("step")} {{
    int new_frames = 0;
    if (state->until_begin == 0) {{
        {self.prefix}_reset_slots(&state->slots[state->next]);
        state->steps_left[state->next] = {window.steps};
        state->next = (uint16_t)(state->next + 1u < {self.copies}u ? state->next + 1u : 0u);
        state->until_begin = {window.hop};
    }}
    state->until_begin--;
    for (uint16_t k = 0; k < {self.copies}; k++) {{
        if (state->steps_left[k] == 0) continue;
        {self.prefix}_body(&state->slots[k], &state->scratch, {call});
        if (--state->steps_left[k] == 0) new_frames = 1;
    }}
    return new_frames;
}}
"""

    def _normalise_function(self) -> str:
        metadata = self.program.metadata
        mean, std = (
            self.step.table(f"{what}_of_input", np.array(numbers, np.float32), f"{what} of the input")
            for what, numbers in (("mean", metadata.mean), ("std", metadata.std))
        )
        body = f"x[k] = (raw[k] - edgernn_read_float({mean} + k)) / edgernn_read_float({std} + k);"
        return f"{self.signature('normalise')} {{\n    for (uint16_t k = 0; k < {len(metadata.mean)}; k++) {{\n        {body}\n    }}\n}}\n"

    def _decide_function(self) -> str:
        settings, labels = self.program.metadata.decision, self.program.metadata.labels
        if settings.smoothing_steps > MAX_SMOOTHING_STEPS:
            raise ExportError(
                f"decision.smoothing_steps is {settings.smoothing_steps}, in firmware at most {MAX_SMOOTHING_STEPS}"
            )
        self.step.need("decide")
        nothing = -1 if settings.nothing is None else labels.index(settings.nothing)
        threshold, release = (int(score * 32768 + 0.5) for score in (settings.threshold, settings.release))
        score = "(uint16_t)scores[k]"
        if self.output_type(self.program.outputs[0].name) == "float":
            self.step.need("score_float")
            score = "edgernn_score(scores[k])"
        rules = [settings.smoothing_steps, threshold, release, settings.minimum_steps, settings.hold_off_steps, nothing]
        arguments = ", ".join(str(rule) for rule in (len(labels), *rules))
        return f"""{self.signature("decide")} {{
    uint16_t whole[{len(labels)}];
    for (uint16_t k = 0; k < {len(labels)}; k++) whole[k] = {score};
    if (!edgernn_decide(&state->decision, state->ring, state->sums, whole, {arguments})) return 0;
    event->label = (uint16_t)state->decision.recognised;
    event->score = (uint16_t)(state->sums[event->label] / state->decision.outputs);
    return 1;
}}
"""

    def _label_function(self) -> str:
        cases = "\n".join(
            f"        case {index}: return {names.string(label)};"
            for index, label in enumerate(self.program.metadata.labels)
        )
        return (
            f'{self.signature("label")} {{\n    switch (label) {{\n{cases}\n        default: return "";\n    }}\n}}\n'
        )
