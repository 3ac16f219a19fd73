"""``edgernn verify``: proves that an export computes what the host computes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from edgernn.cli.options import json_option
from edgernn.cli.text import escape, format_table, print_json, warn
from edgernn.errors import DoesNotFitError

if TYPE_CHECKING:
    from firmware_export.verify import VerificationReport


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--machine",
    "machines",
    multiple=True,
    help="Machine to run on; may be repeated.  [default: all that are installed]",
)
@click.option(
    "--steps",
    type=click.IntRange(0, 10_000_000),
    default=1000,
    show_default=True,
    help="Random steps after the self-test.",
)
@click.option("--port", help="Compare with the board on this serial port; it must run the export's example `answer`.")
@click.option("--baud", type=int, default=115200, show_default=True, help="Bits per second of the port.")
@json_option
@click.pass_context
def verify(
    context: click.Context,
    directory: Path,
    machines: tuple[str, ...],
    steps: int,
    port: str | None,
    baud: int,
    as_json: bool,
) -> None:
    """Compile the export in DIRECTORY, run it on emulated chips and on this machine, and compare with the program.

    The outputs of an int8 model must be equal bit for bit, those of a float model within 1e-5. QEMU counts the
    instructions exactly, simavr the cycles of AVR chips. Milliseconds assume one cycle per instruction.

    \b
    Example:
      edgernn verify gesture_library
      edgernn verify gesture_library --machine cortex-m4 --machine atmega328p --steps 100000
      edgernn verify gesture_library --port /dev/ttyACM0
    """
    from firmware_export.verify import open_export

    exported = open_export(directory)
    if port is not None:
        from firmware_export.board_port import verify_port

        report = verify_port(exported.model, port, steps=max(1, min(steps, 100_000)), baud=baud)
        if as_json:
            print_json(msgspec.to_builtins(report))
        else:
            result = f"{report.steps} steps equal" if report.equal else f"differs: {report.difference}"
            click.echo(
                escape(f"{port}: {result}; a step takes {report.median_us:g} us, at most {report.largest_us} us")
            )
        context.exit(0 if report.equal else 1)
    from firmware_export.emulators import EMULATORS, missing_tools
    from firmware_export.verify import host_run
    from firmware_export.verify import verify as run_on

    reports, too_small, expected = [], 0, None
    for name in _chosen(machines):
        missing = missing_tools(EMULATORS[name])
        if missing and not machines:
            warn(f"{name} is left out: {', '.join(missing)} not installed")
            continue
        click.echo(f"{name} ...", err=True)
        expected = host_run(exported, steps) if expected is None else expected
        try:
            reports.append(run_on(exported, EMULATORS[name], steps=steps, sized=True, expected=expected))
        except DoesNotFitError as error:
            too_small += 1
            reason = str(error).splitlines()[0].rstrip(":") if machines else "the model needs more memory"
            warn(f"{name} is left out: {reason}")
    if as_json:
        print_json([msgspec.to_builtins(report) for report in reports])
    elif reports:
        click.echo(_format(reports))
    all_asked = not (machines and too_small)
    context.exit(0 if reports and all_asked and all(report.equal for report in reports) else 1)


def _chosen(machines: tuple[str, ...]) -> tuple[str, ...]:
    from firmware_export.emulators import EMULATORS

    for name in machines:
        if name not in EMULATORS:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(EMULATORS)}", param_hint="'--machine'")
    return machines or tuple(EMULATORS)


def _format(reports: list[VerificationReport]) -> str:
    rows: list[tuple[object, ...]] = [("machine", "result", "flash", "RAM", "stack", "a step", "", "")]
    for report in reports:
        time = f"{report.step_ms:.3f} ms at {report.clock_hz / 1e6:g} MHz" if report.step_ms is not None else ""
        rows.append(
            (
                report.machine,
                "equal" if report.equal else f"differs: {report.difference}",
                report.flash_bytes or "",
                report.ram_bytes or "",
                "" if report.stack_bytes is None else report.stack_bytes,
                "" if report.count is None else report.count,
                report.counts if report.count is not None else "",
                time,
            )
        )
    return format_table(rows, indent=0)
