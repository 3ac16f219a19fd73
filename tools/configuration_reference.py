"""The tables of settings in edgernn/docs/configuration.md, from the structs and constructors that take the settings.

Usage: ``python tools/configuration_reference.py`` prints them, ``--write`` puts them into the page.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import click
import msgspec
from generated_part import write_or_print

from edgernn.cli.run import run
from edgernn.program.metadata import DecisionSettings
from edgernn.stream.config import PREFIX, InputSettings, StreamSettings
from edgernn.stream.options import known_options
from edgernn.stream.sinks import SINKS
from edgernn.stream.sources import SOURCES

NO_VARIABLE = {"decision", "inputs", "states"}  # tables, which no variable can hold


def described(documented: Any, section: str) -> dict[str, tuple[str, str]]:
    """Type and description of each name in a section of a numpydoc docstring."""
    text = inspect.getdoc(documented) or ""
    match = re.search(rf"{section}\n-+\n(.*?)(?:\n\n\w+\n-+\n|\Z)", text, re.DOTALL)
    entries = re.split(r"\n(?=\w)", match[1]) if match else []
    found = {}
    for entry in entries:
        heading, *lines = entry.split("\n")
        name, _, kind = heading.partition(" : ")
        found[name] = (kind.removesuffix(" or None").removesuffix(", optional"), " ".join(map(str.strip, lines)))
    return found


def value(default: Any) -> str:
    """A default as TOML writes it; empty where there is none."""
    if default is None or default == () or isinstance(default, dict | msgspec.Struct):
        return ""
    return f"`{msgspec.json.encode(default).decode()}`"


def row(*cells: str) -> str:
    return f"| {' | '.join(cells).replace('``', '`')} |"


def flags() -> dict[str, str]:
    """The flag of `edgernn run` for each setting that has one."""
    return {option.name: option.opts[0] for option in run.params if isinstance(option, click.Option) and option.name}


def settings(kind: type[msgspec.Struct], prefix: str | None) -> Iterator[str]:
    """A table of the fields of a struct."""
    texts, options = described(kind, "Attributes"), flags()
    yield row("setting", "type", "default", "flag", "variable", "meaning")
    yield row(*["---"] * 6)
    for field in msgspec.structs.fields(kind):
        default = None if field.default is msgspec.NODEFAULT else field.default
        has_variable = prefix is not None and field.name not in NO_VARIABLE
        flag = options.get(field.name) if prefix is not None else None
        yield row(
            f"`{field.name}`",
            texts[field.name][0],
            value(default),
            f"`{flag}`" if flag else "",
            f"`{prefix}{field.name.upper()}`" if has_variable else "",
            texts[field.name][1],
        )


def options(homes: dict[str, str]) -> Iterator[str]:
    """A table of the options that addresses take, by scheme."""
    yield row("address", "option", "type", "default", "meaning")
    yield row(*["---"] * 5)
    for scheme, home in homes.items():
        module, name = home.split(":")
        constructor: Callable[..., Any] = getattr(import_module(module), name)
        texts = described(constructor, "Parameters")
        defaults = inspect.signature(constructor).parameters
        for option in known_options(constructor):
            kind, text = texts[option]
            yield row(f"`{scheme}:`", f"`{option}`", kind, value(defaults[option].default), text)


def reference() -> str:
    """Markdown: all settings, decision settings, settings of an input, options of sources and of sinks."""
    parts = [
        ("Settings of a stream", settings(StreamSettings, PREFIX)),
        ("Decision: `[decision]`", settings(DecisionSettings, f"{PREFIX}DECISION_")),
        ("Inputs: `[inputs.NAME]`", settings(InputSettings, None)),
        ("Options of a source", options(SOURCES)),
        ("Options of an output", options(SINKS)),
    ]
    return "\n".join(f"## {title}\n\n" + "\n".join(lines) + "\n" for title, lines in parts)


if __name__ == "__main__":
    write_or_print("configuration.md", "configuration_reference", reference())
