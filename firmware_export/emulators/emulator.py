"""What an emulated machine is, the list of them, and how a program is compiled for one and run on it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import msgspec

from edgernn.errors import DoesNotFitError, ExportError

HERE = Path(__file__).parent
KIB = 1024

# what linkers and avr-gcc say where memory is too small
TOO_LARGE = re.compile(r"will not fit in region|not within region|region \S+ overflowed|size of array \S+ is too large")
# -icount shift=6: every instruction lasts 64 ns, and SysTick counts at the board's clock
INSTRUCTION_S = Fraction(64, 10**9)


class Emulator(msgspec.Struct, frozen=True, kw_only=True):
    """A machine in an emulator, or the host itself.

    Attributes
    ----------
    name, title : str
        The name on the command line, and the chip and program that it stands for.
    compiler : tuple of str
        Compiler and the flags that make code for this chip.
    sources : tuple of str
        Start-up code and services, files of this folder.
    linker_flags : tuple of str
    run : tuple of str
        Command that runs the program; ``{program}`` is replaced by its path.
    counts : "instructions", "cycles" or None
        What `port_ticks` measures.
    ticks_per_count : Fraction
        Ticks for one of them.
    clock_hz : int
        A clock that such chips usually have, to give a feeling in milliseconds.
    flash_bytes, ram_bytes : int
        Memory of the machine; 0 where it does not matter.
    size_tool : str
        Program that tells the sizes of the sections.
    """

    name: str
    title: str
    compiler: tuple[str, ...]
    sources: tuple[str, ...]
    run: tuple[str, ...] = ("{program}",)
    linker_flags: tuple[str, ...] = ()
    optimization: str = "-O2"
    counts: str | None = None
    ticks_per_count: Fraction = Fraction(1)
    clock_hz: int = 0
    flash_bytes: int = 0
    ram_bytes: int = 0
    size_tool: str = "size"

    @property
    def tools(self) -> tuple[str, ...]:
        """Programs that must be installed."""
        return (self.compiler[0], self.size_tool, *(tool for tool in self.run[:1] if tool[0] not in "{"))


class Run(NamedTuple):
    """What a program printed, and its exit status."""

    text: str
    status: int


def _cortex_m(
    name: str,
    title: str,
    cpu: str,
    board: str,
    *,
    systick_hz: int,
    clock_hz: int,
    flash: tuple[int, int] = (0, 256 * KIB),
    ram: tuple[int, int] = (0x20000000, 64 * KIB),
) -> Emulator:
    origins = (("FLASH_ORIGIN", flash[0]), ("FLASH_SIZE", flash[1]), ("RAM_ORIGIN", ram[0]), ("RAM_SIZE", ram[1]))
    return Emulator(
        name=name,
        title=title,
        compiler=("arm-none-eabi-gcc", "-mthumb", *cpu.split(), "-ffreestanding"),
        sources=("cortex_m.c", "freestanding.c"),
        linker_flags=(
            "-nostdlib",
            f"-T{HERE / 'cortex_m.ld'}",
            *(f"-Wl,--defsym={symbol}={value:#x}" for symbol, value in origins),
            "-lgcc",
        ),
        run=(
            *("qemu-system-arm", "-M", board, "-display", "none", "-monitor", "none", "-serial", "none"),
            *("-chardev", "stdio,id=text", "-semihosting-config", "enable=on,target=native,chardev=text"),
            *("-icount", "shift=6", "-kernel", "{program}"),
        ),
        counts="instructions",
        ticks_per_count=systick_hz * INSTRUCTION_S,
        clock_hz=clock_hz,
        flash_bytes=flash[1],
        ram_bytes=ram[1],
        size_tool="arm-none-eabi-size",
    )


def _atmega(mcu: str, title: str, *, flash_bytes: int, ram_bytes: int) -> Emulator:
    return Emulator(
        name=mcu,
        title=title,
        compiler=("avr-gcc", f"-mmcu={mcu}", "-DF_CPU=16000000UL"),
        sources=("avr.c",),
        run=("{simavr_runner}", mcu, "16000000", "{program}"),
        optimization="-Os",
        counts="cycles",
        clock_hz=16_000_000,
        flash_bytes=flash_bytes,
        ram_bytes=ram_bytes,
        size_tool="avr-size",
    )


def _linux(name: str, title: str, triple: str, qemu: str) -> Emulator:
    return Emulator(
        name=name,
        title=title,
        compiler=(f"{triple}-gcc", "-static"),
        sources=("hosted.c",),
        run=(qemu, "{program}"),
        size_tool=f"{triple}-size",
    )


_HARD = "-mfloat-abi=hard"
_VIRT_ORIGINS = {
    "FLASH_ORIGIN": 0x80000000,
    "FLASH_SIZE": 1024 * KIB,
    "RAM_ORIGIN": 0x80100000,
    "RAM_SIZE": 1024 * KIB,
}

EMULATORS: dict[str, Emulator] = {
    emulator.name: emulator
    for emulator in (
        Emulator(
            name="host",
            title="this machine, address and undefined-behaviour sanitizers",
            compiler=("gcc", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
            sources=("hosted.c",),
            optimization="-O0",  # optimising sanitized code takes many times longer than running it
        ),
        _cortex_m(
            *("cortex-m0", "Cortex-M0 (micro:bit)", "-mcpu=cortex-m0", "microbit"),
            systick_hz=16_000_000,
            clock_hz=48_000_000,
            ram=(0x20000000, 16 * KIB),
        ),
        _cortex_m(
            *("cortex-m3", "Cortex-M3 (MPS2 AN385)", "-mcpu=cortex-m3", "mps2-an385"),
            systick_hz=25_000_000,
            clock_hz=72_000_000,
        ),
        _cortex_m(
            *("cortex-m4", "Cortex-M4F (MPS2 AN386)", f"-mcpu=cortex-m4 -mfpu=fpv4-sp-d16 {_HARD}", "mps2-an386"),
            systick_hz=25_000_000,
            clock_hz=64_000_000,
        ),
        _cortex_m(
            *("cortex-m7", "Cortex-M7 (MPS2 AN500)", f"-mcpu=cortex-m7 -mfpu=fpv5-sp-d16 {_HARD}", "mps2-an500"),
            systick_hz=25_000_000,
            clock_hz=600_000_000,
        ),
        _cortex_m(
            *("cortex-m33", "Cortex-M33 (MPS2 AN505)", f"-mcpu=cortex-m33 -mfpu=fpv5-sp-d16 {_HARD}", "mps2-an505"),
            systick_hz=20_000_000,
            clock_hz=128_000_000,
            flash=(0x10000000, 256 * KIB),
            ram=(0x38000000, 64 * KIB),
        ),
        _cortex_m(
            *("cortex-m55", "Cortex-M55 (MPS3 AN547)", f"-mcpu=cortex-m55 {_HARD}", "mps3-an547"),
            systick_hz=32_000_000,
            clock_hz=160_000_000,
        ),
        Emulator(
            name="rv32imc",
            title="RISC-V RV32IMC (QEMU virt)",
            compiler=("riscv64-unknown-elf-gcc", "-march=rv32imc", "-mabi=ilp32", "-ffreestanding"),
            sources=("riscv.c", "freestanding.c"),
            linker_flags=(
                "-nostdlib",
                f"-T{HERE / 'riscv.ld'}",
                *(f"-Wl,--defsym={symbol}={value:#x}" for symbol, value in _VIRT_ORIGINS.items()),
                "-lgcc",
            ),
            run=(
                *("qemu-system-riscv32", "-M", "virt", "-display", "none", "-monitor", "none", "-serial", "none"),
                *("-chardev", "stdio,id=text", "-semihosting-config", "enable=on,target=native,chardev=text"),
                *("-icount", "shift=0", "-bios", "{program}"),
            ),
            counts="instructions",
            clock_hz=160_000_000,
            size_tool="riscv64-unknown-elf-size",
        ),
        _atmega("atmega328p", "ATmega328P (Arduino Uno, simavr)", flash_bytes=32 * KIB, ram_bytes=2 * KIB),
        _atmega("atmega2560", "ATmega2560 (Arduino Mega, simavr)", flash_bytes=256 * KIB, ram_bytes=8 * KIB),
        _linux("aarch64", "64-bit ARM Linux (QEMU user mode)", "aarch64-linux-gnu", "qemu-aarch64-static"),
        _linux("armhf", "32-bit ARM Linux (QEMU user mode)", "arm-linux-gnueabihf", "qemu-arm-static"),
    )
}


def _call(command: Sequence[str], timeout_s: float, what: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise ExportError(
            f"{what} needs the program {command[0]}, which is not installed; the file tools/debian-packages lists "
            "the packages to install"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ExportError(f"{what} did not end within {timeout_s:g} s: {' '.join(command)}") from error


def _compile(command: Sequence[str], what: str) -> None:
    done = _call(command, 300.0, what)
    if done.returncode != 0 and TOO_LARGE.search(done.stderr):
        raise DoesNotFitError(f"{what}: the program needs more memory than there is:\n{done.stderr}")
    if done.returncode != 0 or done.stderr:
        raise ExportError(f"{what} failed or warned:\n{' '.join(command)}\n{done.stderr}")


def build(
    emulator: Emulator,
    sources: Sequence[Path],
    program: Path,
    *,
    include: Sequence[Path] = (),
    flags: Sequence[str] = (),
    linked: bool = True,
) -> None:
    """Compile `sources` into `program`, linked with the emulator's services or not. A warning is an error.

    Raises
    ------
    DoesNotFitError
        The machine has not the flash or the RAM.
    ExportError
        The compiler is missing, failed, or warned.
    """
    command = [
        *emulator.compiler,
        "-std=gnu99",
        emulator.optimization,
        *("-Wall", "-Wextra", "-ffp-contract=off", "-ffunction-sections", "-fdata-sections"),
        *(("-Wl,--gc-sections",) if linked else ()),
        f"-I{HERE}",
        *(f"-I{path}" for path in include),
        *flags,
        *(str(path) for path in sources),
        "-o",
        str(program),
    ]
    if linked:
        command += [*(str(HERE / name) for name in emulator.sources), *emulator.linker_flags]
    else:
        command.append("-c")
    _compile(command, f"compiling for {emulator.title}")


def keep_called(emulator: Emulator, compiled: Path, names: Sequence[str], output: Path) -> None:
    """What `names` need of a compiled file: functions that nothing calls are left out, as a linker does at the end."""
    keep = [f"-Wl,--undefined={name}" for name in names]
    command = [*emulator.compiler, "-r", "-nostdlib", "-Wl,--gc-sections", *keep, str(compiled), "-o", str(output)]
    _compile(command, f"linking for {emulator.title}")


def run(emulator: Emulator, program: Path, *, timeout_s: float = 120.0) -> Run:
    """Run a program to its end.

    Raises
    ------
    ExportError
        The emulator is missing, or the program did not end in time.
    """
    names = {"program": str(program)}
    if "{simavr_runner}" in emulator.run:
        names["simavr_runner"] = str(simavr_runner(program.parent))
    command = [part.format(**names) for part in emulator.run]
    done = _call(command, timeout_s, f"running on {emulator.title}")
    return Run(done.stdout + done.stderr, done.returncode)


def simavr_runner(directory: Path) -> Path:
    """The simulator of AVR chips, compiled into `directory` unless it is there."""
    program = directory / "simavr_runner"
    if not program.exists():
        simavr = "/usr/include/simavr"
        command = ["gcc", "-O2", f"-I{simavr}", f"-I{simavr}/parts", str(HERE / "simavr_runner.c"), "-o", str(program)]
        libraries = ["-lsimavrparts", "-lsimavr", "-lelf", "-lutil", "-lpthread"]
        _compile([*command, *libraries], "compiling the AVR simulator")
    return program


class SectionSizes(NamedTuple):
    """Bytes of a linked program."""

    flash: int
    ram: int


def sizes(emulator: Emulator, program: Path) -> SectionSizes:
    """Flash (code, constants, initial values) and RAM (variables, without stack) of a linked program."""
    done = _call([emulator.size_tool, str(program)], 30.0, "reading section sizes")
    text, data, bss = (int(word) for word in done.stdout.splitlines()[1].split()[:3])
    return SectionSizes(text + data, data + bss)


def missing_tools(emulator: Emulator) -> tuple[str, ...]:
    """Programs that this emulator needs and that are not installed."""
    return tuple(tool for tool in emulator.tools if shutil.which(tool) is None)
