"""The fenced blocks of the documents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).parents[2]
PAGES = CHECKOUT / "edgernn" / "docs"
DOCUMENTS = [CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *sorted(PAGES.glob("*.md"))]


class Block(NamedTuple):
    """A fenced block.

    Attributes
    ----------
    language, remark : str
        What stands behind the opening fence: ``sh no-run: needs a board``.
    text : str
    """

    language: str
    remark: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The calls of edgernn, a continued line as one."""
        if self.language not in {"sh", "console"}:
            return []
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line.removeprefix("$ ") for line in lines if line.removeprefix("$ ").startswith("edgernn ")]


def blocks(path: Path) -> list[Block]:
    """The blocks of a document that name their language."""
    found = re.findall(r"^```(\w+) ?([^\n]*)\n(.*?)^```$", path.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [Block(*parts) for parts in found]
