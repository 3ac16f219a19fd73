"""Memory and time that a model needs on a board, before it is exported or flashed."""

from __future__ import annotations

from typing import Any

import click

from edgernn.program.program import Program

board_option = click.option(
    "--board", help="Refuse a model that does not fit this board: uno, nano33, pico, bluepill, esp32c3, ..."
)


def describe_fit(program: Program, name: str, board: str | None) -> dict[str, Any]:
    """Memory, functions that the C has not, and for a board the estimated time of a step, as plain values.

    Raises
    ------
    ExportError
        There is no such board, the model does not fit it, or an operation has no C form.
    """
    from firmware_export.boards import BOARDS, fit
    from firmware_export.generate import CModel

    model = CModel(program, name)
    facts: dict[str, Any] = {"flash_tables_bytes": model.table_bytes, "ram_bytes": model.state_bytes}
    facts["left_out"] = model.left_out
    if board is not None:
        need, has = fit(model, board), BOARDS[board]
        facts |= {
            "board": has.title,
            "flash_bytes": need.flash_bytes,
            "board_flash_bytes": has.flash_bytes,
            "board_ram_bytes": has.ram_bytes,
            "cycles_estimated": need.cycles,
            "step_ms_estimated": round(need.step_s * 1e3, 4),
        }
    return facts
