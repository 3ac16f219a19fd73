"""The table of operators in README.md, from the importer's own rules.

Usage: ``python tools/operator_table.py`` prints it, ``--write`` puts it into README.md.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path

from edgernn.importers.onnx.constants import CONSTANT_FOLDING
from edgernn.importers.onnx.rules import RULES

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- operators: made by tools/operator_table.py -->\n", "<!-- operators: end -->"


def table() -> str:
    """Markdown: a row for each file of rules, called as its docstring begins, and one for constants."""
    families: dict[str, list[str]] = {}
    for operator, rule in RULES.items():
        module = import_module(getattr(rule, "func", rule).__module__)
        title = re.split(r"[:;.]", module.__doc__ or module.__name__, maxsplit=1)[0].replace("\n", " ")
        families.setdefault(title, []).append(operator)
    families["Of constants only"] = sorted(set(CONSTANT_FOLDING) - set(RULES))
    rows = [f"| {title} | {', '.join(operators)} |" for title, operators in sorted(families.items())]
    return "\n".join(["| what the rules are about | operators |", "|---|---|", *rows]) + "\n"


def with_table(text: str) -> str:
    """The text of README.md with the table of today."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        README.write_text(with_table(README.read_text()))
    else:
        print(table(), end="")
