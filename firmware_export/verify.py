"""Proves that an export computes what the host computes: compiled, run on emulated chips, compared bit for bit."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.errors import ExportError
from edgernn.program.file import load_program
from firmware_export import DESCRIPTION, FORMAT
from firmware_export.emulators import Emulator, build, run
from firmware_export.emulators.emulator import HERE, SectionSizes, keep_called, sizes
from firmware_export.generate import CModel
from firmware_export.golden import frame_schedule, is_exact, tolerance
from firmware_export.host import MASK, host_outputs, noise_of, random_inputs
from firmware_export.literals import float_literal
from firmware_export.memory import TYPE_BYTES

Array: TypeAlias = NDArray[Any]

CHECKPOINTS = 50  # checksums of a long run


class Exported(NamedTuple):
    """An export on disk."""

    directory: Path
    model: CModel
    include: Path
    selftest: Path


def open_export(directory: Path) -> Exported:
    """Read what `edgernn export` wrote.

    Raises
    ------
    ExportError
        The folder holds no export, or one that was changed.
    """
    path = directory / DESCRIPTION
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        described = facts["format"], facts["name"], facts["hash"], facts["folder"], facts["selftest"], facts["program"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportError(
            f"{directory} is not an export: its {DESCRIPTION} cannot be read; `edgernn export` makes one"
        ) from error
    version, name, digest, folder, selftest, program_name = described
    if version != FORMAT:
        raise ExportError(f"{path} has format {version}, this edgernn reads {FORMAT}: export again")
    places = [(directory / part).resolve() for part in (folder, selftest, program_name)]
    if any(not place.is_relative_to(directory.resolve()) for place in places):
        raise ExportError(f"{path} names a file outside of the export")
    program = load_program(places[2])
    if program.hash != digest:
        raise ExportError(f"{places[2]} is not the program that {path} describes: export again")
    return Exported(directory, CModel(program, name), places[0], places[1])


class VerificationReport(msgspec.Struct, frozen=True):
    """What one machine gave.

    Attributes
    ----------
    machine, title : str
    equal : bool
    difference : str
        The first differing step and value, empty if there is none.
    flash_bytes, ram_bytes : int
        Of the model alone: its functions and tables, and the state of one stream; 0 if not asked for.
    stack_bytes : int or None
        The deepest stack of a step.
    count : int or None
        Instructions or cycles of the longest step.
    counts : str or None
        Which of them.
    step_ms : float or None
        The same in milliseconds at `clock_hz`.
    """

    machine: str
    title: str
    equal: bool
    difference: str
    flash_bytes: int
    ram_bytes: int
    stack_bytes: int | None
    count: int | None
    counts: str | None
    step_ms: float | None
    clock_hz: int


def verify(
    exported: Exported,
    emulator: Emulator,
    *,
    steps: int = 0,
    sized: bool = False,
    expected: Mapping[str, Array] | None = None,
) -> VerificationReport:
    """Compile an export for a machine, run its self-test and `steps` made-up steps there, compare with the host.

    With `sized`, the model is also compiled alone for its bytes of flash and RAM. `expected` is what `host_run` gives,
    computed here if it is not given: it is the same for all machines.

    Raises
    ------
    ExportError
        A tool is missing, the compiler warned, or the program did not end.
    """
    with tempfile.TemporaryDirectory() as folder:
        return _verify(exported, emulator, steps, sized, expected, Path(folder))


def host_run(exported: Exported, steps: int) -> dict[str, Array]:
    """The outputs (frames, size) by name that the host computes for the made-up steps."""
    return host_outputs(exported.model.program, random_inputs(exported.model, steps))


def _verify(
    exported: Exported,
    emulator: Emulator,
    steps: int,
    sized: bool,
    expected: Mapping[str, Array] | None,
    work: Path,
) -> VerificationReport:
    model = exported.model
    program = work / "program"
    (work / "ports.h").write_text(harness_ports(model))
    lines = list(_run_harness(exported, emulator, program, steps, work))
    facts = {words[0]: words[1:] for words in lines if words[0] != "checksum"}
    difference = _difference(facts)
    if not difference and steps:
        expected = host_run(exported, steps) if expected is None else expected
        difference = _compare_checksums(exported, emulator, steps, expected, lines, work)
    count = None
    if "ticks" in facts and emulator.counts:
        count = round(int(facts["ticks"][1]) / emulator.ticks_per_count)
    size = _model_sizes(exported, emulator, work) if sized else SectionSizes(0, 0)
    return VerificationReport(
        machine=emulator.name,
        title=emulator.title,
        equal=not difference,
        difference=difference,
        flash_bytes=size.flash,
        ram_bytes=size.ram,
        stack_bytes=int(facts["stack"][0]) if "stack" in facts else None,
        count=count,
        counts=emulator.counts,
        step_ms=count / emulator.clock_hz * 1e3 if count and emulator.clock_hz else None,
        clock_hz=emulator.clock_hz,
    )


def _model_sizes(exported: Exported, emulator: Emulator, work: Path) -> SectionSizes:
    """Bytes of the model alone, compiled for a machine."""
    prefix = exported.model.prefix
    source = work / "alone.c"
    source.write_text(
        f'#define {prefix.upper()}_IMPLEMENTATION\n#include "{exported.model.file}"\n'
        f"extern {prefix}_state one_stream;\n{prefix}_state one_stream;\n"
    )
    build(emulator, [source], work / "alone.o", include=[exported.include], flags=["-fno-common"], linked=False)
    names = [f"{prefix}_{name}" for name in ("reset", "step", "flush", "normalise", "decide", "label")]
    keep_called(emulator, work / "alone.o", [*names, "one_stream"], work / "called.o")
    return sizes(emulator, work / "called.o")


def checksums_on(exported: Exported, emulator: Emulator, steps: int) -> list[int]:
    """Checksums of the outputs of `steps` made-up steps on one machine: two machines that compute the same agree."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "ports.h").write_text(harness_ports(exported.model))
        lines = _run_harness(exported, emulator, work / "program", steps, work)
        return [int(words[2]) & MASK for words in lines if words[0] == "checksum"]


def harness_ports(model: CModel) -> str:
    """The file ports.h of emulators/harness.c."""
    inputs, outputs = [], []
    for port in model.program.inputs:
        unit, factor, shift = noise_of(model, port.name)
        local = f"selftest_{model.step.inputs[port.name]}"
        size = TYPE_BYTES[model.step.input_dtype(port.name)]
        inputs.append(f"    {{{local}, {port.size}, {float_literal(unit)}, {factor}, {shift}, {size}}},")
    for port in model.program.outputs:
        local = f"selftest_{model.step.outputs[port.name]}"
        outputs.append(f"    {{{local}, sizeof {local}, 0.0f, 0, 0, 0}},")
    return "".join(
        f"static const harness_port harness_{what}[] = {{\n{chr(10).join(lines)}\n}};\n"
        for what, lines in (("inputs", inputs), ("outputs", outputs))
    )


def _run_harness(
    exported: Exported, emulator: Emulator, program: Path, steps: int, work: Path, trace: tuple[int, int] = (0, 0)
) -> Iterator[list[str]]:
    """Lines that the harness prints, as words."""
    settings = {
        "RANDOM_STEPS": steps,
        "CHECKPOINT_STEPS": _checkpoint_steps(steps),
        "TRACE_FROM": trace[0],
        "TRACE_TO": trace[1],
    }
    flags = [
        f"-D{name}={value}ul" if name != "RANDOM_STEPS" else f"-D{name}={value}" for name, value in settings.items()
    ]
    include = [work, exported.include, exported.selftest.parent]
    build(emulator, [HERE / "harness.c"], program, include=include, flags=flags)
    done = run(emulator, program, timeout_s=60.0 + steps * 0.02)
    lines = [line.split() for line in done.text.splitlines() if line.strip()]
    if not lines or done.status not in {0, 1} or lines[0][0] not in {"equal", "differs"}:
        raise ExportError(f"on {emulator.title} the program ended with status {done.status}: {done.text[-500:]}")
    yield from lines


def _checkpoint_steps(steps: int) -> int:
    return max(1, steps // CHECKPOINTS)


def _difference(facts: Mapping[str, list[str]]) -> str:
    if "differs" not in facts:
        return ""
    step, number = facts["differs"]
    return f"self-test, step {step}, number {number}"


def _checksums(outputs: Mapping[str, Array], frames: Mapping[str, Sequence[int]], steps: int) -> list[int]:
    """Fowler, Noll and Vo's checksum of all output bytes at each checkpoint; `frames` are the steps of each output."""
    checksum, sums = 2166136261, []
    columns = {
        name: np.ascontiguousarray(array).view(np.uint8).reshape(len(array), -1) for name, array in outputs.items()
    }
    every = _checkpoint_steps(steps)
    for step in range(steps):
        for name, column in columns.items():
            if step in frames[name]:
                for byte in column[frames[name].index(step)].tolist():
                    checksum = (checksum ^ byte) * 16777619 & MASK
        if (step + 1) % every == 0:
            sums.append(checksum)
    return sums


def _compare_checksums(
    exported: Exported,
    emulator: Emulator,
    steps: int,
    expected: Mapping[str, Array],
    lines: list[list[str]],
    work: Path,
) -> str:
    """The first step of a long run that differs from the host, empty if none does."""
    model, program = exported.model, exported.model.program
    frames = {output.name: frame_schedule(program, output).steps(steps) for output in model.outputs}
    typed = {
        port.name: expected[port.name].astype(model.step.dtype(model.step.output_value(port.name)))
        for port in program.outputs
    }
    found = [(int(words[1]), int(words[2]) & MASK) for words in lines if words[0] == "checksum"]
    if not is_exact(program):  # compared with tolerance, on the last stretch
        begin = max(0, steps - 2 * _checkpoint_steps(steps))
        return _compare_trace(exported, emulator, steps, (begin, steps), typed, frames, work)
    for (step, checksum), own in zip(found, _checksums(typed, frames, steps), strict=True):
        if checksum != own:
            begin = step + 1 - _checkpoint_steps(steps)
            return _compare_trace(exported, emulator, steps, (begin, step + 1), typed, frames, work)
    return ""


def _compare_trace(
    exported: Exported,
    emulator: Emulator,
    steps: int,
    trace: tuple[int, int],
    expected: Mapping[str, Array],
    frames: Mapping[str, Sequence[int]],
    work: Path,
) -> str:
    """The first difference among the steps of `trace`, which are run again and printed."""
    program = exported.model.program
    allowed = {name: tolerance(program, array) for name, array in expected.items()}
    for words in _run_harness(exported, emulator, work / "trace", steps, work, trace):
        if words[0] != "output":
            continue
        step, data, begin = int(words[1]), bytes(map(int, words[2:])), 0
        for name, array in expected.items():
            if step not in frames[name]:
                continue
            frame = frames[name].index(step)
            own = array[frame]
            got = np.frombuffer(data[begin : begin + own.nbytes], own.dtype)
            begin += own.nbytes
            same = np.abs(got.astype(np.float64) - own) <= allowed[name][frame]
            if not same.all():
                at = int(np.flatnonzero(~same)[0])
                return f"step {step}, {name}[{at}] is {got[at]}, on the host {own[at]}"
    return f"checksum of steps {trace[0]} to {trace[1] - 1}" if is_exact(program) else ""
