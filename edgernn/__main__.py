"""``edgernn`` and ``python -m edgernn``.

Only what every Python process has is imported here, so that a signal finds its handler at once.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from edgernn.stream.stop_signals import stop_signals


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The words after ``edgernn``; by default those of the process.

    Returns
    -------
    int
        Exit status: 0 success or stopped by a signal, 1 failed or differs, 2 usage, 3 model refused.
    """
    for number in stop_signals():
        signal.signal(number, _leave)
    from edgernn.cli.outcome import run_command

    return run_command(arguments)


def _leave(number: int, frame: FrameType | None) -> None:
    """End while the command line is still being imported: there is nothing to say or to put in order yet."""
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
