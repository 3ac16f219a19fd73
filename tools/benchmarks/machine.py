"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

from benchmarks import floor

FEATURES = ("sse4_2", "avx", "fma", "avx2", "avx512f", "avx512_vnni", "avx_vnni", "asimd", "asimddp", "sve")


def describe_machine(core: int) -> dict[str, str]:
    """CPU, its features and caches, kernel, Python and compiler, and how busy the machine is now."""
    fields = _cpu_fields()
    flags = fields.get("flags", fields.get("Features", "")).split()
    facts = {
        "CPU": fields.get("model name", fields.get("Model", platform.machine())),
        "features": " ".join(feature for feature in FEATURES if feature in flags),
        "caches": _caches(core),
        "cores": f"{os.cpu_count()}, pinned to core {core}",
        "frequency governor": _read(f"/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor") or "not visible",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": sys.version.split()[0],
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }
    if floor.compiler():
        version = subprocess.run([str(floor.compiler()), "--version"], check=True, capture_output=True, text=True)
        facts["C compiler"] = version.stdout.splitlines()[0]
    return facts


def _cpu_fields() -> dict[str, str]:
    """Fields of the first processor in /proc/cpuinfo; empty where there is none."""
    lines = _read("/proc/cpuinfo").splitlines()
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {key.strip(): value.strip() for key, _, value in reversed(list(pairs))}


def _caches(core: int) -> str:
    folders = sorted(Path(f"/sys/devices/system/cpu/cpu{core}/cache").glob("index*"))
    caches = [tuple(_read(folder / name) for name in ("level", "type", "size")) for folder in folders]
    return ", ".join(f"L{level} {size}" for level, kind, size in caches if kind != "Instruction") or "not visible"


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
