"""A Program to one C header: declarations, the pieces of the runtime that it needs, tables, functions."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from string import Template

from edgernn.program.description import StateSlot
from firmware_export import names, pieces
from firmware_export.functions import write_functions
from firmware_export.interface import Interface
from firmware_export.literals import C_TYPES, STATE_TYPES
from firmware_export.memory import TYPE_BYTES

TEMPLATES = Path(__file__).parent / "templates"


class CModel(Interface):
    """The C form of one program: its interface, and the header's text.

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
                    "event", ["uint16_t label;", "uint16_t score; /* smoothed, in 1/32768 */"], "what was recognized"
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
            parts.append(f"/* {self._decide_comment()} */\n{self.signature('decide')};\n")
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
        if self.reset_steps is not None:
            fields.append("uint32_t until_reset; /* steps */")
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

    def _decide_comment(self) -> str:
        layout = self.score_layout
        if layout.frames > 1 and not layout.newest_only:
            return (
                "Whether the scores of a new frame make an event; call it once for each, in order:\n"
                f" * those of frame j of the output begin at j * {layout.inner}."
            )
        return "Whether the scores of the newest output make an event; call it once for each output."

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
