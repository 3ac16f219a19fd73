"""The generated part of a document, between two comments."""

from __future__ import annotations

import sys
from pathlib import Path

DOCUMENTS = Path(__file__).parents[1] / "edgernn" / "docs"


def write_or_print(page: str, name: str, text: str) -> None:
    """Put `text` into a page, between the comments that name the tool, with ``--write``; otherwise print it."""
    if "--write" not in sys.argv[1:]:
        print(text, end="")
        return
    path = DOCUMENTS / page
    begin, end = f"<!-- {name}: made by tools/{name}.py -->\n", f"<!-- {name}: end -->"
    before, _, rest = path.read_text("utf-8").partition(begin)
    path.write_text(before + begin + text + end + rest.partition(end)[2], "utf-8")
