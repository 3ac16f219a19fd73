"""What the operating system says this process has used, and what a step takes from Python's allocator."""

from __future__ import annotations

import os
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

STATM = Path("/proc/self/statm")


class Resources(msgspec.Struct, frozen=True):
    """Used so far, or between two looks.

    Attributes
    ----------
    cpu_ns : int
        Processor time of all threads.
    resident_bytes : int or None
        Memory in use; between two looks its growth. None where the system does not say.
    allocated_blocks : int
        Blocks of Python's allocator; between two looks their growth.
    minor_faults, major_faults : int or None
        Page faults; major ones waited for a disk.
    voluntary_switches, forced_switches : int or None
        Context switches: because the process waited, or because others were let run.
    """

    cpu_ns: int = 0
    resident_bytes: int | None = None
    allocated_blocks: int = 0
    minor_faults: int | None = None
    major_faults: int | None = None
    voluntary_switches: int | None = None
    forced_switches: int | None = None

    def since(self, earlier: Resources) -> Resources:
        """What was used from `earlier` to this."""
        return self._combine(earlier, -1)

    def plus(self, other: Resources) -> Resources:
        """The sum of two times."""
        return self._combine(other, 1)

    def _combine(self, other: Resources, sign: int) -> Resources:
        mine, others = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        numbers: list[Any] = [None if a is None else a + sign * (b or 0) for a, b in zip(mine, others, strict=True)]
        return Resources(*numbers)


def resources_now() -> Resources:
    """What this process has used up to now."""
    blocks, cpu_ns = sys.getallocatedblocks(), time.process_time_ns()
    resident_bytes = None
    with suppress(OSError, AttributeError):
        resident_bytes = int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    try:
        import resource
    except ImportError:  # not POSIX
        return Resources(cpu_ns, resident_bytes, blocks)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return Resources(cpu_ns, resident_bytes, blocks, usage.ru_minflt, usage.ru_majflt, usage.ru_nvcsw, usage.ru_nivcsw)


def allocated_bytes(step: Callable[[Any], Any], samples: Sequence[Any]) -> int:
    """The most that a step has taken from Python's allocator at any moment beyond what it kept before, in bytes.

    Includes NumPy's arrays. Measured in a pass of its own, because it makes every allocation slow.

    Examples
    --------
    >>> allocated_bytes(lambda x: None, [0, 1])
    0
    >>> allocated_bytes(lambda x: bytes(5000), [0, 1]) > 5000
    True
    """
    largest = 0
    step(samples[0])
    tracemalloc.start()
    try:
        for x in samples:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            step(x)
            largest = max(largest, tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    return largest if largest > PROBE_BYTES else 0


PROBE_BYTES = 256  # what looking costs by itself: some integers
