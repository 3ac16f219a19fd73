"""``edgernn docs``: the pages of the documentation, in the terminal."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from importlib.resources import files
from typing import Any

import click
from click.shell_completion import CompletionItem

PAGES = files("edgernn") / "docs"


def page_titles() -> dict[str, str]:
    """Title of each page by its name, in the order of the index, which comes first itself."""
    index = read_page("index")
    names = [entry.name.removesuffix(".md") for entry in PAGES.iterdir() if entry.name.endswith(".md")]
    names.sort(key=lambda name: index.find(f"({name}.md)"))
    return {name: read_page(name).partition("\n")[0].removeprefix("# ") for name in names}


def read_page(name: str) -> str:
    """The text of a page."""
    return (PAGES / f"{name}.md").read_text("utf-8")


class PageName(click.ParamType[str]):
    """The name of a page."""

    name = "page"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """`value` in lower case, without the suffix of the file."""
        wanted = str(value).lower().removesuffix(".md")
        known = list(page_titles())
        if wanted not in known:
            close = get_close_matches(wanted, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"use one of {', '.join(known)}"
            self.fail(f"there is no page {value!r}: {hint}", param, ctx)
        return wanted

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Pages that begin with `incomplete`, with their titles."""
        return [
            CompletionItem(name, help=title) for name, title in page_titles().items() if name.startswith(incomplete)
        ]


@click.command()
@click.argument("page", required=False, type=PageName())
def docs(page: str | None) -> None:
    """Print a page of the documentation, or the list of pages.

    \b
    Example:
      edgernn docs
      edgernn docs streaming
    """
    from edgernn.cli.text import format_table

    if page is None:
        click.echo(format_table(list(page_titles().items()), indent=0))
    elif sys.stdout.isatty():
        click.echo_via_pager(read_page(page))
    else:
        click.echo(read_page(page), nl=False)
