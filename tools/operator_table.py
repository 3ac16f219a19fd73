"""The table of operators in edgernn/docs/operators.md, from the rules of the importer.

Usage: ``python tools/operator_table.py`` prints it, ``--write`` puts it into the page.
"""

from __future__ import annotations

import re
from importlib import import_module

from generated_part import write_or_print

from edgernn.importers.onnx.constants import CONSTANT_FOLDING
from edgernn.importers.onnx.rules import RULES


def table() -> str:
    """Markdown: a row for each file of rules, titled with the beginning of its docstring, and one for constants."""
    families: dict[str, list[str]] = {}
    for operator, rule in RULES.items():
        module = import_module(getattr(rule, "func", rule).__module__)
        title = re.split(r"[:;.]", module.__doc__ or module.__name__, maxsplit=1)[0].replace("\n", " ")
        families.setdefault(title, []).append(operator)
    families["Constants"] = sorted(set(CONSTANT_FOLDING) - set(RULES))
    rows = [f"| {title} | {', '.join(operators)} |" for title, operators in sorted(families.items())]
    return "\n".join(["| family | operators |", "|---|---|", *rows]) + "\n"


if __name__ == "__main__":
    write_or_print("operators.md", "operator_table", table())
