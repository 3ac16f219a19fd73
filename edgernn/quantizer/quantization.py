"""`edgernn.quantize`: a float program and recordings to an int8 program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import msgspec

from edgernn.errors import QuantizationError
from edgernn.program.program import Program
from edgernn.program.streamed import as_run
from edgernn.quantizer.calibration import (
    Array,
    Calibration,
    CalibrationTrace,
    Progress,
    Recording,
    read_recordings,
    trace,
)
from edgernn.quantizer.comparison import compare_checked
from edgernn.quantizer.convert import convert
from edgernn.quantizer.cross_layer_equalization import equalized
from edgernn.quantizer.settings import Choices, Settings, check_settings

TRIAL_STEPS = 1000  # of the calibration, on which equalized channels must prove that they help


def quantize(
    program: Program,
    calibration: Calibration,
    *,
    on_progress: Progress = lambda done, total: None,
    **choices: Unpack[Choices],
) -> Program:
    """Turn a float program into an int8 program, which computes in integers only (firmware_export/ARITHMETIC.md).

    Parameters
    ----------
    program : Program
        A float program.
    calibration : ndarray, path, dict, or list of these
        Recordings (T, channels) in raw sensor units, before the metadata's mean and standard deviation: some thousand
        time steps of everything the model will meet. A dict holds one array for each input; a path is any file
        that `edgernn.recordings.sample_file.read_inputs` reads.
    on_progress : callable, optional
        Told now and then how many of how many calibration steps have run.
    operands : "w8a16" or "w8a8", default "w8a16"
        What matrix products read of activations: 16 bits, or 8 bits for the smallest and fastest code.
    keep_float : sequence of str
        Names of operations that stay in float. Such a program has no `step_raw` and no integer-only firmware.
    layer_operands : mapping of str to str, optional
        `operands` for single operations, by name.
    ranges : "mse", "percentile", "entropy" or "max"
        How the clipping limits of activations are chosen.
    states : "auto", "s16" or "s32"
        Width of the state that a gate holds, h of a GRU and c of an LSTM. "auto" takes 32 bits where a unit lets go of
        less than 2^-9 in at least 1 % of the calibration's steps: 16 bits would stick there.
    count_size : float or sequence of float, optional
        What one integer count of the sensor is in the recordings' units, for every channel or for each. If absent,
        recordings of whole numbers are counts; with others the program has no `step_raw` and no firmware.
    equalize, correct_bias : bool
        Whether to equalize the channels of inputs and those between layers, where that clearly lowers the error of the
        products that read them (the program's `description.equalized` says where), and to add what the rounding of
        weights takes from the mean of each row to its bias.

    Returns
    -------
    Program
        With the same inputs, outputs, windows and metadata; inputs and outputs of `step` are float as before.

    Raises
    ------
    QuantizationError
        The program is quantized already; an operation has no integer form or could overflow; the calibration is empty,
        zero, not finite or has the wrong channels; a choice is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from edgernn.program.operations import Dense
    >>> from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription
    >>> description = ProgramDescription(
    ...     inputs=(InputDescription("x", (2,)),),
    ...     outputs=(OutputDescription("y", "y", per_frame=True),),
    ...     operations=(Dense(name="sum", inputs=("x",), outputs=("y",), W="W"),),
    ... )
    >>> program = Program(description, {"W": np.array([[0.5, -1.0]], np.float32)})
    >>> int8 = quantize(program, np.array([[1.0, 2.0], [-2.0, 1.0]]), equalize=False)
    >>> int8.arithmetic
    'int8'
    >>> int8.weights["sum/W"]
    array([[  64, -127]], dtype=int8)
    """
    if program.arithmetic != "float32":
        raise QuantizationError("the program is quantized already; quantize the float program that it was made of")
    settings = Settings(**choices)
    check_settings(program, settings)
    return _as_loaded(_quantize(as_run(program), calibration, settings, on_progress), program)


def _as_loaded(int8: Program, program: Program) -> Program:
    """The int8 form of what was given, and not of the windows on which a stream runs it and it was calibrated."""
    window, description = program.window, program.description
    if window is not None and int8.window != window:
        int8 = int8.with_window(window.steps, window.hop)
    changed = msgspec.structs.replace(
        int8.description, window=window, mode_reason=description.mode_reason, running=description.running
    )
    return Program(changed, int8.weights)


def _quantize(program: Program, calibration: Calibration, settings: Settings, on_progress: Progress) -> Program:
    recordings = read_recordings(program, calibration)
    traced = trace(program, recordings, on_progress)
    if not settings.equalize:
        return convert(program, traced, settings)
    return _better_of(program, traced, recordings, settings)


def _better_of(
    program: Program, traced: CalibrationTrace, recordings: Sequence[Recording], settings: Settings
) -> Program:
    """The int8 program with channels equalized, or that without where it gives the better scores."""
    equal = plain = None
    try:
        equal = convert(*equalized(program, traced, settings), settings)
        if not equal.description.equalized:
            return equal
    except QuantizationError:  # what the integers take without factors they may not take with them
        pass
    try:
        plain = convert(program, traced, settings)
    except QuantizationError:
        if equal is None:
            raise
        return equal
    if equal is None:
        return plain
    beginnings = _beginnings(program, recordings)
    without, with_them = (compare_checked(program, form, beginnings).signal_to_noise_db for form in (plain, equal))
    return equal if with_them > without else plain


def _beginnings(program: Program, recordings: Sequence[Recording]) -> list[dict[str, Array]]:
    """The first steps of each recording, `TRIAL_STEPS` in all, and at least what one output needs."""
    least = (program.window_steps or program.warmup_steps + program.delay_steps) + 1
    steps = max(least, TRIAL_STEPS // len(recordings))
    return [{name: column[:steps] for name, column in recording.items()} for recording in recordings]
