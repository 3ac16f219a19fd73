"""The part of `edgernn inspect` about a step: its operations, its delay, and the cost of tails and windows."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec
import numpy as np

from edgernn.cli.text import format_table
from edgernn.program.operations import DelayLine, Schedule
from edgernn.program.program import Program


def describe_operations(program: Program) -> list[dict[str, Any]]:
    """Each operation of a step as plain values."""
    item_bytes = {slot.name: np.dtype(slot.dtype).itemsize for slot in program.state}
    described = []
    for iterations, operation in zip(program.iterations, program.operations, strict=True):
        inputs = tuple(program.values[name] for name in operation.inputs)
        schedule = operation.read if isinstance(operation, DelayLine) else operation.when
        described.append(
            {
                "kind": type(operation).__name__,
                "name": operation.name,
                "sources": list(operation.sources),
                "inputs": [list(value.shape) for value in inputs],
                "outputs": [list(program.values[name].shape) for name in operation.outputs],
                "iterations": iterations,
                "multiply_accumulates": iterations * operation.multiply_accumulates(inputs, program.weights),
                "state_bytes": sum(size * item_bytes[place.slot] for place, size in operation.regions(program.weights)),
                "rate": str(Fraction(1, 1 if schedule.at_end else schedule.period)),
                "delay_steps": schedule.tail_steps,
                "schedule": msgspec.structs.asdict(schedule),
            }
        )
    return described


def describe_look_ahead(program: Program) -> list[dict[str, Any]]:
    """The nodes that look ahead, and by how many steps. A branch that only waits for another one does not count."""
    found = []
    for operation in program.operations:
        if isinstance(operation, DelayLine) and _looks(operation):
            steps = operation.read.tail_steps - operation.when.tail_steps
            if steps > 0:
                found.append({"nodes": list(operation.sources) or [operation.name], "steps": steps})
    return found


def _looks(operation: DelayLine) -> bool:
    """Whether a history is more than a delay: it has several taps, or frames of padding."""
    return operation.taps > 1 or operation.read.extra != operation.when.extra


def describe_work(program: Program) -> dict[str, Any]:
    """Operations and multiply-accumulates of the worst step: all copies, and the tail where a step runs it."""
    work = program.multiply_accumulates
    copies = 1 if program.staggered is None else program.staggered.copies
    in_step = program.runs_tail_in_each_step or program.staggered is not None
    tail = program.tail_steps if in_step else 0
    operations = sum(program.iterations)
    return {
        "copies": copies,
        "tail_steps": program.tail_steps,
        "tail_steps_in_a_step": tail,
        "tail_operations": tail * operations,
        "tail_multiply_accumulates": tail * work,
        "worst_step_operations": (copies + tail) * operations,
        "worst_step_multiply_accumulates": (copies + tail) * work,
        "state_bytes": program.state_bytes,
    }


def format_operations(facts: list[dict[str, Any]]) -> str:
    """A table with a line for each operation."""
    rows: list[tuple[object, ...]] = [("", "", "", "", "multiply-acc.", "state bytes", "late by", "when", "from")]
    for number, operation in enumerate(facts, start=1):
        sources = [source for source in operation["sources"] if source != operation["name"]]
        iterations = f" x {operation['iterations']}" if operation["iterations"] > 1 else ""
        rows.append(
            (
                number,
                operation["kind"] + iterations,
                operation["name"],
                " ".join(map(_shape, operation["inputs"])) + " -> " + " ".join(map(_shape, operation["outputs"])),
                operation["multiply_accumulates"] or "",
                operation["state_bytes"] or "",
                operation["delay_steps"] or "",
                _when(Schedule(**operation["schedule"])),
                ", ".join(sources),
            )
        )
    used = [any(row[column] != "" for row in rows[1:]) for column in range(len(rows[0]))]
    return format_table([tuple(cell for cell, keep in zip(row, used, strict=True) if keep) for row in rows])


def format_fusions(fused: list[dict[str, Any]], missed: list[dict[str, Any]]) -> str:
    """What was fused, and what nearly was, each with the ONNX nodes at its end."""
    lines = ["fused" if fused else "fused: nothing"]
    if fused:
        lines.append(format_table([(entry["pattern"], entry["operation"], _nodes(entry)) for entry in fused]))
    if missed:
        lines.append("not fused, though it begins alike")
        rows = [(entry["pattern"], entry["operation"], _nodes(entry), entry["reason"]) for entry in missed]
        lines.append(format_table(rows))
    return "\n".join(lines)


def _nodes(entry: dict[str, Any]) -> str:
    return ", ".join(node for node in entry["nodes"] if node != entry["operation"])


def explain(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Table rows about delay, tail, window and work."""
    work, rows = facts["work"], []
    if facts["window_steps"] is not None:
        kind = f"staggered, {work['copies']} copies of the state side by side"
        if facts["window_recomputed"]:
            kind = "recomputed: frames are kept, and the model runs over all of them when the window is full"
        rows.append(("window", f"{facts['window_steps']} steps, a new one every {facts['hop_steps']}; {kind}"))
    rows.append(("delay", f"{facts['delay_steps']} steps, first output at step {facts['first_output_step']}"))
    if facts["looks_ahead"]:
        nodes = (f"{', '.join(entry['nodes'])} by {entry['steps']}" for entry in facts["looks_ahead"])
        rows.append(("looks ahead", "; ".join(nodes)))
    if work["tail_steps_in_a_step"]:
        when = (
            "when a window is full"
            if facts["window_steps"] is not None
            else "after each sample, on a copy of the state"
        )
        without = "" if facts["window_steps"] is not None else " (--tail flush: only at the end)"
        cost = f"{work['tail_operations']} operations, {work['tail_multiply_accumulates']:,} multiply-accumulates"
        rows.append(("tail", f"{work['tail_steps_in_a_step']} more steps {when}: {cost}{without}"))
    elif work["tail_steps"]:
        rows.append(("tail", f"{work['tail_steps']} steps when the stream is flushed"))
    return rows


def first_output_step(program: Program) -> int:
    """The first step, from 1, that gives an output; for an output of flush, the first step that it needs."""
    if program.window is not None:
        return program.window.steps
    return 1 + min(output.when.first for output in program.description.outputs)


def _when(schedule: Schedule) -> str:
    """The steps in which an operation runs; empty for all."""
    if schedule.at_end and schedule.first == 0:
        return "at the end"
    begin = f"from step {schedule.first + 1}" if schedule.first else ""
    pace = "at the end" if schedule.at_end else f"every {schedule.period} steps" if schedule.period > 1 else ""
    return " ".join(filter(None, (pace, begin)))


def _shape(shape: list[int]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"
