"""The processor that kernels are compiled for: its name, its features, and how many float32 a register holds.

The same environment variables as Numba's decide (``NUMBA_CPU_NAME``, ``NUMBA_CPU_FEATURES``); without them it is the
processor that this process runs on. Everything here is read once, and is part of the key of every compiled kernel.
"""

from __future__ import annotations

import os
from functools import cache
from typing import NamedTuple

import llvmlite.binding as llvm


class Processor(NamedTuple):
    """What LLVM needs to know of a processor."""

    triple: str
    name: str
    features: str

    @property
    def lanes(self) -> int:
        """float32 numbers in one register: 16 with AVX-512, 8 with AVX, else 4 (SSE, NEON)."""
        features = self.features.split(",")
        if "+avx512f" in features:
            return 16
        return 8 if "+avx" in features else 4


@cache
def processor() -> Processor:
    """The processor that kernels are compiled for."""
    name = os.environ.get("NUMBA_CPU_NAME")
    features = os.environ.get("NUMBA_CPU_FEATURES")
    if features is None:
        features = "" if (name or "").lower() == "generic" else _host_features()
    return Processor(llvm.get_process_triple(), name or llvm.get_host_cpu_name(), features)


@cache
def target_machine() -> llvm.TargetMachine:
    """LLVM's description of the processor, for code that runs in this process."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    chosen = processor()
    return llvm.Target.from_triple(chosen.triple).create_target_machine(
        cpu=chosen.name,
        features=chosen.features,
        opt=3,
        reloc="static" if chosen.triple.startswith(("x86", "i386", "i686")) else "default",
        codemodel="jitdefault",
        jit=True,
    )


def _host_features() -> str:
    try:
        return llvm.get_host_cpu_features().flatten()
    except RuntimeError:  # LLVM cannot tell on this machine: use what every processor of the triple has
        return ""
