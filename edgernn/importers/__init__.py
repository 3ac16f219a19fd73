"""Models from files: ONNX is imported, a converted program is read as it is."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import msgspec
import numpy as np

from edgernn.errors import InputError, MissingPackageError, ModelError, UnsupportedModelError
from edgernn.importers.settings import LoadChoices, LoadSettings
from edgernn.program.program import Program
from edgernn.program.running import Running, running_from_properties
from edgernn.program.streamed import chosen_running

if TYPE_CHECKING:
    from onnx import ModelProto

    from edgernn.importers.onnx.translation import ImportedModel

__all__ = ["import_onnx", "load"]

MAX_STATES = 64 << 20  # bytes of all copies of the state, above which a window is computed as a whole


def load(path: str | os.PathLike[str], **choices: Unpack[LoadChoices]) -> Program:
    """Load a model as a program for one time step.

    Parameters
    ----------
    path : path-like
        An ONNX model, a ``.safetensors`` program made by ``edgernn convert`` or `edgernn.save`, or a table of int8
        weights (``.safetensors`` or ``.npz``, see `edgernn docs weight-tables`).
    window : int, optional
        Run on sliding windows of this many steps, each from a fresh state. A model that could be streamed runs as
        copies of its state, each begun `hop` steps after the one before; where all copies would take more than 64 MB,
        each window is kept as frames and computed as a whole, as with models that need whole windows.
    hop : int, default 1
        Steps from one window to the next. Without `window` it changes the hop of the windows on which the model runs
        anyway (`Program.running`).
    time_axis : int, optional
        The axis of the inputs that is time, where the file does not make it plain.
    states : mapping of str to str, optional
        The output that feeds each state input, where names or the graph do not make it plain; ``{}`` for none.
    fixed : mapping of str to number or sequence of numbers, optional
        Inputs that are set for good, such as a sampling rate that chooses a branch of the graph: they become constants.
        The name of a free dimension, or ``input[axis]``, sets the length of that dimension.
    assume_torch_gru : bool, default False
        Read a GRU from PyTorch with ``linear_before_reset = 0`` as PyTorch computed it.
    attention_steps : int, optional
        Let causal attention that looks back over the whole sequence look back so many frames only, so that it streams.
        Results are approximate; ``edgernn check`` shows by how much.
    tail : "step" or "flush", optional
        Where an output of the whole sequence needs frames that the model looks ahead for: give it in each step, which
        costs as many more steps as the model looks ahead, or only when the stream is flushed. If not given, as a
        converted program says, "step" for others. Windows are always whole.

    Returns
    -------
    Program

    Raises
    ------
    UnsupportedModelError
        The model uses something that edgernn does not support; the message names node, operator and what to do.
    MalformedModelError
        The file is missing, damaged, contradicts itself or claims more than the bounds.
    StatePairingError
        Which output feeds which state input is not unique.
    ProgramFileError
        A ``.safetensors`` or ``.npz`` file is damaged or of a newer format, or a field of a table is wrong.
    InputError
        An option does not fit the model.
    MissingPackageError
        The model is ONNX and the onnx package is not installed.

    Examples
    --------
    >>> import edgernn
    >>> from edgernn.demo import MODEL
    >>> program = edgernn.load(MODEL)
    >>> program.mode, program.inputs[0].shape, program.metadata.rate_hz
    ('continuous', (6,), 50.0)
    """
    path, settings = Path(path), LoadSettings(**choices)
    if path.suffix not in (".safetensors", ".npz"):
        return import_onnx(path, **choices).program
    from edgernn.importers.weight_table import is_weight_table, load_weight_table
    from edgernn.program.file import load_program

    if settings.of_onnx:
        raise InputError(
            f"{path} is a converted program or a table of weights: {', '.join(settings.of_onnx)} is for ONNX models"
        )
    program = load_weight_table(path) if is_weight_table(path) else load_program(path)
    if settings.window is not None:
        return _on_windows(program.with_window(settings.window, settings.hop))
    return _with_hop(program.with_tail(settings.tail or program.description.tail), settings.hop)


def _with_hop(program: Program, hop: int) -> Program:
    """The program with another hop of the windows on which streams run it; 1 leaves it as it is."""
    return program if hop == 1 else chosen_running(program, hop=hop)


def _on_windows(program: Program) -> Program:
    """A program with windows that were asked for: streams run it on these."""
    assert program.window is not None
    steps, hop = program.window.steps, program.window.hop
    return program.with_running(Running("windows", steps, hop, "asked for with window"))


def import_onnx(path: str | os.PathLike[str], **choices: Unpack[LoadChoices]) -> ImportedModel:
    """Import an ONNX file: `load` that also says where the graph has time and batch, and which outputs feed states."""
    settings = LoadSettings(**choices)
    try:
        from edgernn.importers.onnx.graph.fixed_inputs import fix_inputs
        from edgernn.importers.onnx.graph.graph import read_model
        from edgernn.importers.onnx.graph.text_outputs import without_text_outputs
    except ImportError as error:
        raise MissingPackageError(
            f"{error}; an ONNX model needs the onnx package: pip install onnx, or convert the model on another machine "
            "with `edgernn convert`"
        ) from error
    path = Path(path)
    model, labels, notes = without_text_outputs(fix_inputs(read_model(path), settings.fixed or {}))
    streamed = _imported(model, path.parent, settings, recompute=False)
    if notes or labels:
        streamed = replace(streamed, program=_with_labels(streamed.program, labels, notes))
    if settings.window is None:
        running = running_from_properties({entry.key: entry.value for entry in model.metadata_props})
        program = _as_stated(streamed.program.with_tail(settings.tail or "step"), running)
        return replace(streamed, program=_with_hop(program, settings.hop))
    staggered = _on_windows(streamed.program.with_window(settings.window, settings.hop))
    if staggered.state_bytes > MAX_STATES:
        try:
            recomputed = _imported(model, path.parent, settings, recompute=True)
            return replace(recomputed, program=_on_windows(recomputed.program))
        except ModelError:  # what streams need not fit as a whole window
            pass
    return replace(streamed, program=staggered)


def _imported(model: ModelProto, folder: Path, settings: LoadSettings, *, recompute: bool) -> ImportedModel:
    from edgernn.importers.onnx.importer import import_with

    imported = import_with(model, folder, settings, recompute=recompute)
    return replace(imported, program=_with_fixed(imported.program, settings.fixed)) if settings.fixed else imported


def _with_labels(program: Program, labels: tuple[str, ...], notes: tuple[str, ...]) -> Program:
    """The program with the texts of a classifier as its labels, unless its metadata have some."""
    description, metadata = program.description, program.metadata
    if not metadata.labels and len(labels) == program.outputs[0].size:
        metadata = msgspec.structs.replace(metadata, labels=labels)
    warnings = (*description.warnings, *notes)
    return Program(msgspec.structs.replace(description, metadata=metadata, warnings=warnings), program.weights)


def _with_fixed(program: Program, fixed: Mapping[str, float | Sequence[float]]) -> Program:
    """The program with a note of the inputs that were set for good."""
    numbers = {name: tuple(np.atleast_1d(value).tolist()) for name, value in fixed.items()}
    return Program(msgspec.structs.replace(program.description, fixed=numbers), program.weights)


def _as_stated(program: Program, running: Running | None) -> Program:
    """The program as its metadata say that streams run it."""
    if running is None:
        return program
    if program.window is not None and running.kind != "windows":
        raise UnsupportedModelError(
            f"the metadata say that streams run the model {running}, but it needs whole windows of "
            f"{program.window.steps} steps ({program.description.mode_reason}): change or remove edgernn.running"
        )
    return program.with_running(running)
