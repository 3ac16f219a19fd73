"""README and CONTRIBUTING name only what exists."""

from __future__ import annotations

import re
import shlex
import tomllib
from importlib import import_module
from pathlib import Path

import click
import msgspec
import pytest

from edgernn.cli import COMMANDS
from edgernn.stream.config import StreamSettings

CHECKOUT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "CONTRIBUTING.md"]


def blocks(document: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", (CHECKOUT / document).read_text(), re.DOTALL)


def called_commands(document: str) -> list[list[str]]:
    """The words of each call of edgernn, in blocks and in the text."""
    text = (CHECKOUT / document).read_text()
    calls = re.findall(r"`(?:\S*/)?edgernn ([a-z][^`\n]*)`", text)
    for block in blocks(document, "sh"):
        calls += re.findall(r"^(?:\S*/)?edgernn ([a-z].*)$", block, re.MULTILINE)
    return [shlex.split(call, comments=True) for call in calls]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_and_their_options_exist(document: str) -> None:
    for name, *words in called_commands(document):
        assert name in COMMANDS
        command: click.Command = getattr(import_module(COMMANDS[name][0]), name)
        if isinstance(command, click.Group):
            command = command.commands[words[0]]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if re.match(r"--?[a-z]", word)} <= known


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_exist(document: str) -> None:
    text = (CHECKOUT / document).read_text()
    named = re.findall(r"(?<![\w/])((?:edgernn|tools|tests|firmware_export)/[\w./]+\w)", text)
    assert [path for path in named if not (CHECKOUT / path).exists()] == []


def test_python_blocks_are_python() -> None:
    for block in blocks("README.md", "python"):
        compile(block, "README.md", "exec")


def test_toml_blocks_are_settings() -> None:
    for block in blocks("README.md", "toml"):
        assert msgspec.convert(tomllib.loads(block), StreamSettings).model in {"gesture.onnx", "fusion.onnx"}
