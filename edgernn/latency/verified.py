"""What ``edgernn verify DIR --json`` found: a step of the same model on other chips."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgernn.errors import InputError

MAX_FILE_BYTES = 1 << 20


class Verified(msgspec.Struct, frozen=True):
    """A step on one chip; the fields of a report of ``edgernn verify`` that are needed here.

    Attributes
    ----------
    machine : str
    count : int or None
        Instructions or cycles of the longest step.
    counts : str or None
        Which of them.
    step_ms : float or None
        The same in milliseconds at the chip's clock.
    """

    machine: str
    count: int | None = None
    counts: str | None = None
    step_ms: float | None = None

    def row(self) -> tuple[object, ...]:
        """What a table shows."""
        count = "" if self.count is None else f"{self.count:,}"
        return self.machine, count, self.counts or "", "" if self.step_ms is None else f"{self.step_ms:.3f} ms"


def read_verified(path: Path) -> tuple[Verified, ...]:
    """The chips of a file that ``edgernn verify DIR --json`` wrote.

    Raises
    ------
    InputError
        The file holds something else.
    """
    if path.stat().st_size > MAX_FILE_BYTES:
        raise InputError(f"{path} is larger than {MAX_FILE_BYTES} bytes: it was not written by `edgernn verify --json`")
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[Verified, ...])
    except msgspec.MsgspecError as error:
        raise InputError(f"{path} was not written by `edgernn verify DIR --json`: {error}") from error
