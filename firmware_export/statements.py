"""The C statements of operations: each in its steps, Repeats as loops."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from edgernn.program.operations import AnyOperation, Repeat
from firmware_export import names
from firmware_export.emitters import write
from firmware_export.emitters.c_loops import counter
from firmware_export.step import StepWriter


def write_operations(step: StepWriter, operations: Iterable[AnyOperation], outer: str = "") -> list[str]:
    """C lines of operations, each in its steps; neighbours that run in the same steps share an ``if``."""
    written = [(operation, lines) for operation in operations if (lines := _lines(step, operation))]
    lines = []
    for flag, group in groupby(written, key=lambda part: step.flag(step.runs[part[0].name])):
        inside = [line for _, own in group for line in own]
        lines += inside if flag in ("", outer) else [f"if ({flag}) {{", *indented(inside), "}"]
    return lines


def _lines(step: StepWriter, operation: AnyOperation) -> list[str]:
    if isinstance(operation, Repeat):
        index = step.iterations[operation.name]
        body = write_operations(step, operation.body, step.flag(step.runs[operation.name]))
        header = f"for ({counter(operation.count)} {index} = 0; {index} < {operation.count}; {index}++) {{"
        lines = [header, *indented(body), "}"] if body else []
    else:
        lines = write(step, operation)
    title = names.comment(f"{operation.name} ({type(operation).__name__})")
    return [f"/* {title} */", *lines] if lines else []


def indented(lines: Iterable[str]) -> list[str]:
    """Lines one level further in."""
    return [f"    {line}" if line else "" for line in lines]
