"""A Program to one C header: declarations, the pieces of the runtime that it needs, tables, functions."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from string import Template

from edgernn.errors import ExportError
from edgernn.program.description import OutputDescription, Port, StateSlot
from edgernn.program.operations import Dequantize, Int8Softmax, Int8Unary, IntegerFunction, Softmax, Unary
from edgernn.program.program import Program
from firmware_export import emitters, names, pieces
from firmware_export.body import write_blocks
from firmware_export.functions import write_functions
from firmware_export.literals import C_TYPES, STATE_TYPES
from firmware_export.memory import TYPE_BYTES

MOST_FRAMES = 32767  # of one output in one step
TEMPLATES = Path(__file__).parent / "templates"


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
    >>> from edgernn.program.operations import Dense
    >>> from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription
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
        self.update = write_blocks(self.step, self.step.update)
        self.head = write_blocks(self.step, self.step.head)

    def _check_types(self) -> None:
        for port in self.program.inputs:
            if self.step.input_dtype(port.name) not in C_TYPES:
                raise ExportError(f"input {port.name} is {port.dtype}, which cannot be written as C")
        for output in self.outputs:
            if output.frames > MOST_FRAMES:
                raise ExportError(
                    f"output {output.name} has {output.frames} frames at once, in C at most {MOST_FRAMES}"
                )
        for slot in self.program.state:
            if slot.dtype not in STATE_TYPES:
                raise ExportError(f"state {slot.name} is {slot.dtype}, which cannot be written as C")

    # parts of the interface

    @property
    def outputs(self) -> tuple[OutputDescription, ...]:
        """Outputs in order."""
        return self.program.description.outputs

    @property
    def windowed(self) -> bool:
        """Whether states run side by side on sliding windows."""
        return self.program.staggered is not None

    @property
    def copies(self) -> int:
        """States that run side by side."""
        return self.program.staggered.copies if self.program.staggered else 1

    @property
    def steps(self) -> int:
        """Steps of a sliding window."""
        return self.program.staggered.steps if self.program.staggered else 0

    @property
    def last_step(self) -> int:
        """The step of a window, its tail counted on, that brings the outputs."""
        return self.steps - 1 + self.step.clock.tail_steps

    @property
    def counters(self) -> list[str]:
        """What the operations need to know of time: steps, and those of them behind the end."""
        counters = ["step"] if self.windowed or self.step.clock.counts else []
        return [*counters, "ended"] if self.step.clock.tail_steps else counters

    @property
    def kept_counters(self) -> list[str]:
        """Those counters that the state of a stream holds."""
        return [name for name in self.counters if name == "step" or self.flushes]

    @property
    def tells_new(self) -> bool:
        """Whether outputs come in some steps only."""
        clock = self.step.clock
        sometimes = any(clock.condition(clock.when(output.when)) for output in self.outputs)
        return not self.windowed and (sometimes or self.flushes)

    @property
    def flushed(self) -> list[OutputDescription]:
        """Outputs of which frames may come at the end of a stream."""
        return self.step.flushed

    @property
    def flushes(self) -> bool:
        """Whether there is a flush function."""
        return bool(self.flushed)

    def kept_name(self, output: OutputDescription) -> str:
        """C name of what is kept of an output until its window is complete."""
        return f"frames_of_{self.step.outputs[output.name]}"

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
        _ = self.text  # the last tables are made while it is written
        return sum(self.step.table_bytes.values()) + pieces.table_bytes(self.step.pieces)

    @property
    def largest_table(self) -> int:
        """Bytes of the largest table."""
        _ = self.text
        return max(self.step.table_bytes.values(), default=0)

    @property
    def slots_bytes(self) -> int:
        """Bytes of one copy of the model's states."""
        return sum(TYPE_BYTES[slot.dtype] * slot.size for slot in self.program.state)

    @property
    def state_bytes(self) -> int:
        """Bytes of the state structure, padding aside."""
        copies = self.copies + int(self.step.runs_tail)
        total = copies * self.slots_bytes + self.step.scratch_bytes
        for output in self.step.kept:
            total += self.copies * self.output_size(output.name) * TYPE_BYTES[self.step.dtype(output.value)]
        if self.windowed:
            total += 4 * self.copies + 6
        else:
            total += len(self.kept_counters) * (2 if self.step.clock.c_type == "uint16_t" else 4)
        if self.tells_new:
            total += 2 * len(self.outputs)
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
            case "step" | "flush":
                inputs = [
                    f"const {C_TYPES[self.step.input_dtype(port.name)]} {self.step.inputs[port.name]}[{port.size}]"
                    for port in self.program.inputs
                ]
                outputs = [
                    f"{self.output_type(output.name)} {self.step.outputs[output.name]}[{self.output_size(output.name)}]"
                    for output in (self.outputs if function == "step" else self.flushed)
                ]
                parameters = [state, *(inputs if function == "step" else []), *outputs]
                return f"int {self.prefix}_{function}({', '.join(parameters)})"
            case "decide":
                output = self.program.outputs[0].name
                scores = f"const {self.output_type(output)} scores[{len(self.program.metadata.labels)}]"
                return f"int {self.prefix}_decide({state}, {scores}, {self.prefix}_event *event)"
            case "label":
                return f"const char *{self.prefix}_label(uint16_t label)"
            case _:
                pairs = [
                    f"const float {raw}[{port.size}], float {x}[{port.size}]"
                    for port, raw, x in self.normalised_inputs()
                ]
                return f"void {self.prefix}_normalise({', '.join(pairs)})"

    def normalised_inputs(self) -> list[tuple[Port, str, str]]:
        """Inputs whose numbers the caller must bring to the model's scale, with the C names of these and the result.

        These are the float inputs for which the metadata has a mean.
        """
        others = names.Names([*self.step.inputs.values(), *names.MACROS])
        found = [
            (port, others.add(f"raw_{self.step.inputs[port.name]}"), self.step.inputs[port.name])
            for port in self.program.inputs
            if self.step.input_dtype(port.name) == "float32" and self.program.normalisation(port.name) is not None
        ]
        return [(found[0][0], "raw", "x")] if len(self.program.inputs) == len(found) == 1 else found

    @property
    def normalises(self) -> bool:
        """Whether there is such an input."""
        return bool(self.normalised_inputs())

    # text

    @cached_property
    def text(self) -> str:
        """The header."""
        functions = write_functions(self)
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
        if any(slot.dtype == "float64" for slot in program.state):
            parts.append((TEMPLATES / "sum.h").read_text())
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
        if self.flushes:
            comment = (
                "After the last step: gives the next frames that were still to come, as step does; 0 when none are."
            )
            parts.append(f"/* {comment} */\n{self.signature('flush')};\n")
        if self.normalises:
            comment = "Brings raw numbers to the scale of the model: (raw - mean) / std."
            parts.append(f"/* {comment} */\n{self.signature('normalise')};\n")
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
        if self.tells_new and len(self.outputs) > 1:  # their numbers in new_frames
            numbers = enumerate(self.step.outputs[port.name].upper() for port in self.outputs)
            lines += [f"{prefix}_{name}_NUMBER = {number}," for number, name in numbers]
        if self.program.delay_steps:
            lines.append(f"{prefix}_DELAY_STEPS = {self.program.delay_steps},")
        lines.append(f"{prefix}_WARMUP_STEPS = {self.program.warmup_steps},")
        return lines

    def _structure(self, name: str, fields: list[str], comment: str) -> str:
        body = "\n".join(f"    {field}" for field in fields or ["uint8_t unused;"])
        return f"/* {comment} */\ntypedef struct {{\n{body}\n}} {self.prefix}_{name};\n"

    def _field(self, slot: StateSlot) -> str:
        shape = " x ".join(str(extent) for extent in slot.shape)
        declared = f"{STATE_TYPES[slot.dtype]} {self.step.slots[slot.name]}[{slot.size}];"
        return f"{declared} /* {names.comment(slot.name)}, {shape} */"

    def _state_fields(self) -> list[str]:
        fields = [f"{self.prefix}_slots slots[{self.copies}];", f"{self.prefix}_scratch scratch;"]
        if self.windowed:
            fields.append(f"uint32_t steps_left[{self.copies}]; /* of each window that runs */")
            fields.append("uint32_t until_begin; /* of the next window */")
            fields.append("uint16_t next; /* state that it takes */")
            for output in self.step.kept:
                size, kept = self.output_size(output.name), self.kept_name(output)
                fields.append(f"{self.output_type(output.name)} {kept}[{self.copies}][{size}];")
        else:
            meaning = {"step": "the step that comes next", "ended": "steps of the tail that are over"}
            fields += [f"{self.step.clock.c_type} {name}; /* {meaning[name]} */" for name in self.kept_counters]
        if self.step.runs_tail:
            fields.append(f"{self.prefix}_slots prefix; /* copy of the states that runs the tail of each prefix */")
        if self.tells_new:
            fields.append(f"int16_t new_frames[{len(self.outputs)}]; /* that the newest step brought of each output */")
        if self.decides:
            count = len(self.program.metadata.labels)
            smoothing = self.program.metadata.decision.smoothing_steps
            fields.append("edgernn_decision decision;")
            fields.append(f"int32_t sums[{count}]; /* of the scores in the ring */")
            fields.append(f"uint16_t ring[{smoothing * count}]; /* the newest {smoothing} scores of each label */")
        return fields

    def _step_comment(self) -> str:
        window = self.program.staggered
        if window is None and not self.tells_new:
            frames = max(output.frames for output in self.outputs)
            return f"One time step. Returns the number of new frames in the outputs: always {frames}."
        if window is None and len(self.outputs) == 1:
            return "One time step. Returns the number of new frames in the output; 0 if it is not new and not written."
        if window is None:
            return (
                "One time step. Returns the most new frames of an output; state->new_frames tells\n"
                " * those of each, and an output that has none is not written."
            )
        return (
            f"One time step. Returns 1 when a window of {window.steps} steps is complete and the outputs are new, "
            f"every {window.hop} steps, else 0."
        )
