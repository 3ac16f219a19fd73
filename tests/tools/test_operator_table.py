"""The table of operators in README.md is that of the importer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def test_readme_has_the_table_of_today() -> None:
    command = [sys.executable, "tools/operator_table.py"]
    table = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    assert "LSTM" in table
    assert table in (CHECKOUT / "README.md").read_text(), "run tools/operator_table.py --write"
