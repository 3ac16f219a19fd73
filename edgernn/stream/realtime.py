"""Settings of the operating system and of Python that make answers less often late; each is asked for, none needed.

What was granted is reported, and taken back at the end. Only Linux has all of them.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Literal, NamedTuple, TypeAlias

from edgernn.errors import ConfigError

Part: TypeAlias = Literal["gc", "core", "fifo", "memory"]
PARTS: tuple[Part, ...] = ("gc", "core", "fifo", "memory")
DEFAULT_PRIORITY = 10  # above ordinary programs, below the kernel's own threads (50)
MCL_CURRENT, MCL_FUTURE = 1, 2  # of mlockall


class Grant(NamedTuple):
    """What came of one request; `detail` says what was set, or why not and what to do."""

    part: Part
    granted: bool
    detail: str


class _RefusedError(Exception):
    """The text says why, and what to do."""


@contextmanager
def realtime(
    parts: Sequence[Part] = PARTS, *, core: int | None = None, priority: int = DEFAULT_PRIORITY
) -> Iterator[tuple[Grant, ...]]:
    """Ask for real-time settings; threads that are started inside have them too.

    Parameters
    ----------
    parts : sequence of {"gc", "core", "fifo", "memory"}
        ``gc``: everything that lives now is exempt from garbage collection, which is off until the end. ``core``: one
        CPU core. ``fifo``: the scheduling class SCHED_FIFO. ``memory``: no page of the process may be swapped out, now
        or later.
    core : int, optional
        The last one that this process may use if not given.
    priority : int
        Of SCHED_FIFO, from 1 to 99.

    Yields
    ------
    tuple of Grant
        What was granted and what not, and why.

    Raises
    ------
    ConfigError
        A part is unknown, or the priority out of range.

    Examples
    --------
    >>> with realtime(["gc"]) as grants:
    ...     grants[0].granted, gc.isenabled()
    (True, False)
    >>> gc.isenabled()
    True
    """
    unknown = set(parts) - set(PARTS)
    if unknown:
        raise ConfigError(f"realtime: {', '.join(sorted(unknown))} is unknown; there are {', '.join(PARTS)}")
    if not 1 <= priority <= 99:
        raise ConfigError(f"realtime: priority is {priority}, it must be from 1 to 99")
    requests: dict[Part, Callable[[ExitStack], str]] = {
        "gc": _freeze_garbage,
        "core": lambda undo: _stay_on_core(core, undo),
        "fifo": lambda undo: _schedule_first(priority, undo),
        "memory": _lock_memory,
    }
    with ExitStack() as undo:
        yield tuple(_ask(part, requests[part], undo) for part in PARTS if part in parts)


def _ask(part: Part, request: Callable[[ExitStack], str], undo: ExitStack) -> Grant:
    try:
        return Grant(part, True, request(undo))
    except (_RefusedError, OSError) as error:
        return Grant(part, False, str(error))


def _freeze_garbage(undo: ExitStack) -> str:
    was_enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    undo.callback(gc.unfreeze)
    if was_enabled:
        undo.callback(gc.enable)
    return f"{gc.get_freeze_count()} objects exempt from garbage collection, which is off"


def _stay_on_core(core: int | None, undo: ExitStack) -> str:
    if not hasattr(os, "sched_setaffinity"):
        raise _RefusedError("this system has no sched_setaffinity")
    before = os.sched_getaffinity(0)
    chosen = max(before) if core is None else core
    try:
        os.sched_setaffinity(0, {chosen})
    except (OSError, OverflowError, ValueError):
        raise _RefusedError(
            f"core {chosen} is not available: use one of {', '.join(map(str, sorted(before)))}"
        ) from None
    undo.callback(os.sched_setaffinity, 0, before)
    return f"on core {chosen} only"


def _schedule_first(priority: int, undo: ExitStack) -> str:
    if not hasattr(os, "sched_setscheduler"):
        raise _RefusedError("this system has no sched_setscheduler")
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except PermissionError:
        raise _RefusedError(
            "SCHED_FIFO is not permitted: allow it with `ulimit -r 99`, LimitRTPRIO=99 in a systemd unit or the "
            "capability CAP_SYS_NICE"
        ) from None
    undo.callback(os.sched_setscheduler, 0, policy, parameters)
    return f"SCHED_FIFO with priority {priority}"


def _lock_memory(undo: ExitStack) -> str:
    if not sys.platform.startswith("linux"):
        raise _RefusedError("memory is locked on Linux only")
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    if library.mlockall(MCL_CURRENT | MCL_FUTURE) != 0:
        raise _RefusedError(
            f"memory cannot be locked ({os.strerror(ctypes.get_errno())}): allow it with `ulimit -l unlimited`, "
            f"LimitMEMLOCK=infinity in a systemd unit or the capability CAP_IPC_LOCK"
        )
    undo.callback(library.munlockall)
    return "no page of this process is swapped out"
