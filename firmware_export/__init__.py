"""C for microcontrollers: a Program becomes a header, with a self-test and what an ecosystem wants around it."""

from __future__ import annotations

import json
from pathlib import Path

from edgernn.errors import ExportError
from edgernn.program.program import Program
from edgernn.program.streamed import as_run
from edgernn.version import __version__
from firmware_export.generate import CModel
from firmware_export.golden import Golden
from firmware_export.targets import TARGETS, files, header_folder, selftest_path

__all__ = ["DESCRIPTION", "Golden", "export"]

DESCRIPTION = "edgernn.json"  # what `edgernn verify` reads
PROGRAM = "program.safetensors"
FORMAT = 1


def export(
    program: Program, directory: Path, target: str, golden: Golden, *, name: str = "model", command: str = ""
) -> list[Path]:
    """Write a program as C for `target` into `directory`.

    Parameters
    ----------
    program : Program
    directory : Path
        Made if it is not there; files of the same names are replaced.
    target : str
        ``c``, ``arduino``, ``platformio``, ``esp-idf``, ``zephyr`` or ``cmake``.
    golden : Golden
        Steps that the self-test repeats.
    name : str
        What the model is called; every identifier begins with its C form.
    command : str
        The command that makes this export, for the head of the file.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    ExportError
        The target is unknown, an operation has no C form, or the golden steps do not belong to the program.
    """
    from edgernn.program.file import save

    if target not in TARGETS:
        raise ExportError(f"there is no target {target!r}; known are {', '.join(TARGETS)}")
    program = as_run(program)
    model = CModel(program, name, _banner(program, name, command))
    texts = files(model, target, golden)
    description = {
        "format": FORMAT,
        "name": name,
        "hash": program.hash,
        "target": target,
        "folder": header_folder(target),
        "selftest": selftest_path(target),
        "program": PROGRAM,
        "left_out": model.left_out,
    }
    texts[DESCRIPTION] = json.dumps(description, indent=2) + "\n"
    written = []
    for path, text in sorted(texts.items()):
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        written.append(file)
    save(program, directory / PROGRAM)
    return [*written, directory / PROGRAM]


def _banner(program: Program, name: str, command: str) -> tuple[str, ...]:
    lines = [f"{name}: a model exported by edgernn {__version__}. Do not edit; export again.", ""]
    if command:
        lines.append(f"command  {command}")
    lines.append(f"program  {program.hash}")
    lines.append(f"numbers  {program.arithmetic}, {program.mode}")
    lines += [f"label {index}  {label}" for index, label in enumerate(program.metadata.labels)]
    return tuple(lines)
