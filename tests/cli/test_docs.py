"""`edgernn docs`: the list of pages, a page, what is said of a name that is none."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

import edgernn
from edgernn.cli import command_line

PAGES = Path(edgernn.__file__).parent / "docs"

Command = Callable[..., tuple[int, str, str]]


def test_without_a_page_it_lists_them_in_the_order_of_the_index(edgernn_command: Command) -> None:
    status, out, err = edgernn_command("docs")
    names = [line.split()[0] for line in out.splitlines()]
    assert (status, err, names[:3]) == (0, "", ["index", "models", "streaming"])
    assert sorted(names) == sorted(path.stem for path in PAGES.glob("*.md"))


def test_a_page_is_printed_as_it_is(edgernn_command: Command) -> None:
    for name in ("weight-tables", "Weight-Tables", "weight-tables.md"):
        status, out, _ = edgernn_command("docs", name)
        assert (status, out) == (0, (PAGES / "weight-tables.md").read_text("utf-8"))


def test_a_pager_is_used_on_a_terminal_only(edgernn_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    paged: list[str] = []
    monkeypatch.setattr(click, "echo_via_pager", paged.append)
    edgernn_command("docs", "glossary")
    assert paged == []
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert edgernn_command("docs", "glossary")[1] == ""
    assert paged == [(PAGES / "glossary.md").read_text("utf-8")]


@pytest.mark.parametrize(
    ("name", "hint"),
    [("straeming", "did you mean streaming?"), ("../README", "use one of index, models"), ("", "use one of index")],
)
def test_an_unknown_page_is_a_usage_error(edgernn_command: Command, name: str, hint: str) -> None:
    status, out, err = edgernn_command("docs", name)
    assert (status, out) == (2, "")
    assert hint in err


def test_pages_are_completed() -> None:
    completion = ShellComplete(command_line, {}, "edgernn", "_EDGERNN_COMPLETE")
    assert [item.value for item in completion.get_completions(["docs"], "s")] == [
        "streaming",
        "sources",
        "speed",
        "service",
    ]
