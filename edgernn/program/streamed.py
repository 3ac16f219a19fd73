"""The program that streams run, and the choice of another way of running it."""

from __future__ import annotations

from edgernn.errors import InputError
from edgernn.program.program import Program
from edgernn.program.running import Kind, Running

CHANGED_BY = "--window W --hop N, --continuous and --reset-every N change that"


def chosen_running(
    program: Program,
    *,
    window: int | None = None,
    hop: int | None = None,
    continuous: bool = False,
    reset_every: int | None = None,
) -> Program:
    """The program with another way of running; without any choice as it is.

    Parameters
    ----------
    program : Program
    window, hop : int, optional
        Sliding windows. `hop` alone changes the distance of the windows that the program has anyway.
    continuous : bool
        Never reset.
    reset_every : int, optional
        Steps from one reset to the next.

    Raises
    ------
    InputError
        The choices exclude each other or do not fit the model.
    """
    if sum((window is not None or hop is not None, continuous, reset_every is not None)) > 1:
        raise InputError("window and hop, continuous and reset_every exclude each other: give one of them")
    try:
        if continuous or reset_every is not None:
            if program.window is not None:
                raise InputError(
                    f"the program runs on windows of {program.window.steps} steps ({program.description.mode_reason}): "
                    "load the model without window, continuous and reset_every do not fit it"
                )
            kind: Kind = "continuous" if continuous else "reset"
            return program.with_running(Running(kind, reset_every, reason="asked for"))
        if window is None and hop is not None:
            if program.running.kind != "windows":
                raise InputError(
                    f"hop is {hop}, but the model has no windows to hop ({program.running.reason}): give window as well"
                )
            return program.with_running(Running("windows", program.running.steps, hop, "asked for with hop"))
        if window is not None:
            return program.with_running(Running("windows", window, hop or 1, "asked for with window"))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(str(error)) from error
    return program


def as_run(program: Program) -> Program:
    """The program that streams run: on sliding windows where `program.running` says windows, else as it is.

    `edgernn.load` gives the step of the graph's own meaning. What a stream runs, what is measured, quantized, compared
    and exported is this program. Of one that is reset every n steps the operations are the same; who steps it resets it
    (`running.reset_steps`).

    Returns
    -------
    Program

    Raises
    ------
    MalformedModelError
        The windows are too short for an output, or of another length than a whole window that the program computes.

    Examples
    --------
    >>> import edgernn
    >>> from edgernn.demo import MODEL
    >>> str(edgernn.load(MODEL, window=100, hop=25).running)
    'windows of 100 steps, one every 25'
    """
    running, window = program.running, program.window
    if running.kind != "windows":
        return program
    assert running.steps is not None
    assert running.hop is not None
    if window is not None and (window.steps, window.hop) == (running.steps, running.hop):
        return program
    return program.with_window(running.steps, running.hop, running.reason).with_running(running)
