"""What figures were measured on, as far as the system says; what disturbs them is named."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path

GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")  # Raspberry Pi


def describe_machine() -> dict[str, str]:
    """CPU, kernel and its preemption, frequency governor, Python, load."""
    facts = {
        "CPU": _cpu(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "preemption": _preemption(),
        "frequency governor": _read(GOVERNOR) or "not visible",
        "Python": platform.python_version(),
    }
    throttled = _read(THROTTLED)
    if throttled:
        facts["throttled"] = (
            "never" if int(throttled, 16) == 0 else f"yes, flags {throttled}: cool it, or power it better"
        )
    with suppress(OSError, AttributeError):  # not on Windows
        facts["load before"] = f"{os.getloadavg()[0]:.2f} of {os.cpu_count()} cores"
    return facts


def _cpu() -> str:
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Model"}:
            return value.strip()
    return platform.processor() or platform.machine()


def _preemption() -> str:
    version = platform.version()
    kinds = ("PREEMPT_RT", "PREEMPT_DYNAMIC", "PREEMPT")
    return next((kind for kind in kinds if kind in version), "none named in the kernel's version")


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
