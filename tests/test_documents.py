"""README, CONTRIBUTING and the pages name only what exists, and their generated parts are up to date."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import click
import pytest
from document_blocks import CHECKOUT, DOCUMENTS, PAGES, Block, blocks

from edgernn.cli import COMMANDS

MAX_README_LINES = 250
MAX_BLOCKS_NOT_RUN = 16
NOT_RUN = re.compile(r"no-run: (needs|installs|takes|latencies) \w+")

document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


def called_commands(path: Path) -> list[list[str]]:
    """The words of each call of edgernn, in blocks and in the text."""
    calls = re.findall(r"`(?:\S*/)?edgernn ([a-z][^`\n]*)`", path.read_text("utf-8"))
    calls += [line.removeprefix("edgernn ") for block in blocks(path) for line in block.commands]
    return [shlex.split(call.partition(" | ")[0], comments=True) for call in calls if not call.startswith("COMMAND")]


@document
def test_commands_and_their_options_exist(path: Path) -> None:
    for name, *words in called_commands(path):
        assert name in COMMANDS
        command: click.Command = getattr(import_module(COMMANDS[name][0]), name)
        if isinstance(command, click.Group) and words:
            command = command.commands[words[0]]
        known = {option for parameter in command.params for option in (*parameter.opts, "--help")}
        assert {word for word in words if re.match(r"--?[a-z]", word)} <= known


@document
def test_files_exist(path: Path) -> None:
    text = path.read_text("utf-8")
    named = re.findall(r"(?<![\w/])((?:edgernn|tools|tests|firmware_export)/[\w./-]+\w)", text)
    assert [name for name in named if not (CHECKOUT / name).exists()] == []


@document
def test_links_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", path.read_text("utf-8"))
    assert [target for target in targets if "://" not in target and not (path.parent / target).exists()] == []


def test_the_index_lists_every_page() -> None:
    listed = re.findall(r"^\| \[([\w-]+)\]\(\1\.md\) \|", (PAGES / "index.md").read_text("utf-8"), re.MULTILINE)
    assert sorted([*listed, "index"]) == sorted(path.stem for path in PAGES.glob("*.md"))


def test_the_readme_is_short() -> None:
    assert len((CHECKOUT / "README.md").read_text("utf-8").splitlines()) <= MAX_README_LINES


def test_the_readme_lists_every_command() -> None:
    listed = re.findall(r"^\| `edgernn (\w+)", (CHECKOUT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    skipped: list[Block] = [block for path in DOCUMENTS for block in blocks(path) if block.remark]
    assert [block.remark for block in skipped if not NOT_RUN.match(block.remark)] == []
    assert len(skipped) <= MAX_BLOCKS_NOT_RUN, [block.remark for block in skipped]


@pytest.mark.parametrize(
    ("tool", "page"), [("operator_table", "operators.md"), ("configuration_reference", "configuration.md")]
)
def test_generated_parts_are_up_to_date(tool: str, page: str) -> None:
    command = [sys.executable, f"tools/{tool}.py"]
    part = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    begin, end = f"<!-- {tool}: made by tools/{tool}.py -->\n", f"<!-- {tool}: end -->"
    assert part.count("\n| `") + part.count(", ") > 30
    assert begin + part + end in (PAGES / page).read_text("utf-8"), f"run tools/{tool}.py --write"


def test_the_messages_of_troubleshooting_are_in_the_source() -> None:
    page = (PAGES / "troubleshooting.md").read_text("utf-8")
    quoted = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(quoted) > 30
    assert [message for message in quoted if not any(message in text for text in texts_of_the_source())] == []


@cache
def texts_of_the_source() -> frozenset[str]:
    """Every text in the source, with … for each value that a formatted one takes."""
    found = set()
    for path in [*(CHECKOUT / "edgernn").rglob("*.py"), *(CHECKOUT / "firmware_export").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.add("".join(text_of(part) for part in node.values))
            elif isinstance(node, ast.Constant):
                found.add(text_of(node))
    return frozenset(found)


def text_of(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else "…"
