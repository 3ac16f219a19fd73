"""What the C form of a program offers and holds: names, counters, sizes and signatures, before any text of it."""

from __future__ import annotations

from functools import cached_property

from edgernn.errors import ExportError
from edgernn.program.description import OutputDescription, Port
from edgernn.program.program import Program
from edgernn.program.scores import ScoreLayout, label_mismatch, makes_probabilities, score_layout
from firmware_export import emitters, names
from firmware_export.literals import C_TYPES, STATE_TYPES
from firmware_export.memory import TYPE_BYTES
from firmware_export.statements import write_operations

MAX_FRAMES = 32767  # of one output in one step


class Interface:
    """The functions, structures and counters that the C form of one program has.

    Parameters
    ----------
    program : Program
    name : str
        What the model is called; its identifiers begin with the C form of this.
    banner : sequence of str
        Lines for the head of the file; they are made safe where they are written.

    Raises
    ------
    ExportError
        An operation or a number type has no C form.
    """

    def __init__(self, program: Program, name: str, banner: tuple[str, ...] = ()) -> None:
        self.program = program
        self.prefix = names.identifier(name)
        self.banner = banner
        self.file = f"{self.prefix}.h"
        self.step = emitters.writer(program, self.prefix)
        self._check_types()
        self._check_resets()
        self.update = write_operations(self.step, self.step.update)
        self.head = write_operations(self.step, self.step.head)

    def _check_types(self) -> None:
        for port in self.program.inputs:
            if self.step.input_dtype(port.name) not in C_TYPES:
                raise ExportError(f"input {port.name} is {port.dtype}, which cannot be written as C")
        for output in self.outputs:
            if output.frames > MAX_FRAMES:
                raise ExportError(f"output {output.name} has {output.frames} frames at once, in C at most {MAX_FRAMES}")
        for slot in self.program.state:
            if slot.dtype not in STATE_TYPES:
                raise ExportError(f"state {slot.name} is {slot.dtype}, which cannot be written as C")

    def _check_resets(self) -> None:
        if self.reset_steps is not None and (self.windowed or self.flushes):
            raise ExportError(
                f"the program is reset every {self.reset_steps} steps and looks ahead: in C the frames that are still "
                "to come at a reset would be lost; run it on windows, with --window"
            )

    @property
    def reset_steps(self) -> int | None:
        """Steps from one reset to the next, None where the stream goes on."""
        return self.program.running.reset_steps

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
    def _undecided(self) -> str | None:
        """Why there is no decide function, None if there is."""
        labels = self.program.metadata.labels
        if not labels:
            return "the model has no labels: name its scores with `edgernn convert --labels`"
        if not makes_probabilities(self.program):
            output = self.program.outputs[0].name
            return f"output {output} does not come from a Softmax or Sigmoid: end the model in one"
        return label_mismatch(self.program, labels)

    @property
    def decides(self) -> bool:
        """Whether the model has a decide function: labels, and scores that are probabilities, as in a stream."""
        return self._undecided is None

    @cached_property
    def score_layout(self) -> ScoreLayout:
        """Where the scores of decisions are in the first output."""
        return score_layout(self.program)

    def output_size(self, name: str) -> int:
        """Numbers in one frame of an output."""
        return next(port.size for port in self.program.outputs if port.name == name)

    @property
    def scores_size(self) -> int:
        """Numbers that decide takes: an output, or of one with several new frames what reaches to its last score."""
        layout = self.score_layout
        if layout.newest_only:
            return self.program.outputs[0].size
        return layout.place(layout.size - 1, 0) + 1

    def output_type(self, name: str) -> str:
        """C type of an output."""
        return C_TYPES[self.step.dtype(self.step.output_value(name))]

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
        if self.reset_steps is not None:
            total += 4
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
                scores = f"const {self.output_type(output)} scores[{self.scores_size}]"
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
        others = names.CNames([*self.step.inputs.values(), *names.MACROS])
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

    @cached_property
    def left_out(self) -> dict[str, str]:
        """Functions that the header does not have, each with the reason."""
        reasons = {"decide": self._undecided}
        if not self.normalises:
            takes_integers = self.program.takes_counts and bool(self.program.metadata.mean)
            reasons["normalise"] = (
                "the step takes the sensor's integers as they are"
                if takes_integers
                else "the model's metadata has no mean and std for an input of float"
            )
        if not self.flushes:
            reasons["flush"] = "no frame comes after the last step"
        return {function: reason for function, reason in reasons.items() if reason is not None}
