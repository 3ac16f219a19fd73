"""Machines that an export is compiled for and run on: the host, and chips in QEMU and simavr.

`EMULATORS` is the one list. To add a machine, add an entry there and, where no file here serves it, its start-up code.
"""

from firmware_export.emulators.emulator import EMULATORS, Emulator, Run, build, missing_tools, run, simavr_runner

__all__ = ["EMULATORS", "Emulator", "Run", "build", "missing_tools", "run", "simavr_runner"]
