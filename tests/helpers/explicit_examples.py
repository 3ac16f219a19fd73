"""Failures that hypothesis found, as the decorators that make it try them in every run."""

from __future__ import annotations

import re
from collections.abc import Container

HEADING = re.compile(r"(Failing test case|Falsifying example): \w+\(\n")  # by version of hypothesis
ARGUMENT = re.compile(r"^ {4}(?=(\w+)=)", re.M)  # further lines of a value have another indentation


def explicit_examples(error: BaseException, fixtures: Container[str] = ()) -> list[str]:
    """``@example(...)`` for each failure that hypothesis notes at `error`, without the arguments that are fixtures."""
    if isinstance(error, BaseExceptionGroup):
        return [example for one in error.exceptions for example in explicit_examples(one, fixtures)]
    notes = [note for note in getattr(error, "__notes__", ()) if HEADING.match(note)]
    return [_decorator(note, fixtures) for note in notes]


def _decorator(note: str, fixtures: Container[str]) -> str:
    body = note[note.index("\n") + 1 :].rstrip().removesuffix(")")
    starts = list(ARGUMENT.finditer(body))
    ends = [*(start.start() for start in starts[1:]), len(body)]
    arguments = {start[1]: body[start.start() : end].rstrip() for start, end in zip(starts, ends, strict=True)}
    return "\n".join(["@example(", *(text for name, text in arguments.items() if name not in fixtures), ")"])
