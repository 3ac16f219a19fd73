"""The C runtime: pieces of runtime/ that a model needs, each with what it needs itself, in order."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np

from edgernn.kernels.int8.elementwise import tables as int8_tables
from firmware_export.literals import table

RUNTIME = Path(__file__).parent / "runtime"
_NEEDS = re.compile(r"/\* needs: ([a-z0-9_ ]+) \*/\n")

# pieces that are tables: the numbers have one home, edgernn/kernels/int8/elementwise/tables.py
_TABLES = {
    "sigmoid_table": ("edgernn_sigmoid_table", int8_tables.SIGMOID, np.int16, "round(2^15 / (1 + exp(-i / 32)))"),
    "tanh_table": ("edgernn_tanh_table", int8_tables.TANH, np.int16, "round(2^15 tanh(i / 32)), at most 32767"),
    "fine_sigmoid_table": (
        *("edgernn_fine_sigmoid_table", int8_tables.FINE_SIGMOID, np.int32),
        "round(2^30 / (1 + exp(i / 16)))",
    ),
    "exp2_table": ("edgernn_exp2_table", int8_tables.EXP2, np.uint16, "round(2^15 2^(-i / 64))"),
    "log2_table": ("edgernn_log2_table", int8_tables.LOG2, np.uint16, "round(2^15 log2(1 + i / 64))"),
}


@cache
def _read(piece: str) -> tuple[tuple[str, ...], str]:
    """What a piece needs, and its text. A piece ``file.type`` is the file's text for one C number type."""
    if piece in _TABLES:
        name, numbers, dtype, comment = _TABLES[piece]
        return ("platform",), table(name, np.array(numbers, dtype), comment) + "\n"
    file, _, number = piece.partition(".")
    text = (RUNTIME / f"{file}.h").read_text().replace("NUMBER", number or "NUMBER")
    found = _NEEDS.match(text)
    return (tuple(found[1].split()), text[found.end() :]) if found else ((), text)


def in_order(pieces: Iterable[str]) -> list[str]:
    """All that these pieces need, each after what it needs."""
    found: list[str] = []

    def visit(piece: str) -> None:
        if piece not in found:
            for need in _read(piece)[0]:
                visit(need)
            found.append(piece)

    for piece in sorted(pieces):
        visit(piece)
    return found


@cache
def fingerprint() -> str:
    """Changes with any piece: headers of different versions must not share their pieces in one C file."""
    digest = hashlib.sha256()
    for path in sorted(RUNTIME.glob("*.h")):
        digest.update(path.read_bytes())
    for name in sorted(_TABLES):
        digest.update(_read(name)[1].encode())
    return f"0x{digest.hexdigest()[:8]}"


def text(pieces: Iterable[str]) -> str:
    """C text of the pieces, each guarded so that several models in one C file share it."""
    parts = []
    for piece in in_order(pieces):
        guard = f"EDGERNN_PIECE_{piece.upper().replace('.', '_')}"
        parts.append(f"#ifndef {guard}\n#define {guard}\n{_read(piece)[1].rstrip()}\n#endif\n")
    return "\n".join(parts)


def table_bytes(pieces: Iterable[str]) -> int:
    """Bytes of the tables among the pieces."""
    tables = (_TABLES[piece] for piece in in_order(pieces) if piece in _TABLES)
    return sum(np.dtype(dtype).itemsize * len(numbers) for _, numbers, dtype, _ in tables)
