"""``edgernn service``: a stream that starts with the machine or with its board."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click


@click.group()
def service() -> None:
    """Run a stream as a systemd service.

    \b
    Example:
      edgernn service print gesture.toml | sudo tee /etc/systemd/system/edgernn.service
    """


@service.command("print")
@click.argument("model", metavar="MODEL|CONFIG.toml", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("source", required=False)
@click.option("--part", type=click.Choice(["unit", "udev"]), default="unit", show_default=True, help="What to print.")
@click.option(
    "--name", default="edgernn", show_default=True, help="Name of the service, and of the link to the board in /dev."
)
@click.option(
    "--usb-id", metavar="VENDOR:PRODUCT", help="USB id of the board, for the udev rule.  [default: that of SOURCE]"
)
@click.option("--output", multiple=True, metavar="FILE", help="As in `edgernn run`.")
@click.option("--realtime", is_flag=True, help="Run with real-time settings, and allow them in the unit.")
def print_service(
    model: Path,
    source: str | None,
    part: str,
    name: str,
    usb_id: str | None,
    output: tuple[str, ...],
    realtime: bool,
) -> None:
    """Print a systemd unit that runs MODEL on SOURCE, or the udev rule for its board.

    \b
    Example:
      edgernn service print gesture.toml | sudo tee /etc/systemd/system/edgernn.service
      edgernn service print gesture.toml --part udev --usb-id 2341:0043 | sudo tee /etc/udev/rules.d/90-edgernn.rules
      sudo systemctl daemon-reload && sudo systemctl enable --now edgernn
    """
    from edgernn.stream.service_account import choose_account
    from edgernn.stream.systemd_unit import checked_name, service_unit, udev_rule

    if part == "udev":
        click.echo(udev_rule(usb_id or _usb_id_of(source), name), nl=False)
        return
    state_folder = Path("/var/lib") / checked_name(name)
    read, written = _files(model, output)
    account = choose_account(read, written, state_folder)
    words = [sys.executable, "-m", "edgernn", "run", str(model.resolve()), *([source] if source else [])]
    words += [word for address in output for word in ("--output", _absolute(address))]
    words += ["--realtime"] if realtime else []
    click.echo(service_unit(words, model.name, name, account, realtime=realtime), nl=False)


def _files(model: Path, output: Sequence[str]) -> tuple[list[Path], list[Path]]:
    """What the service reads, and the files that it writes."""
    import edgernn
    from edgernn.stream.config import resolve
    from edgernn.stream.sinks import file_of

    read = [Path(sys.executable), Path(edgernn.__file__), model]
    outputs = list(output)
    if model.suffix == ".toml":
        settings = resolve({}, path=model)
        read += [] if settings.model is None else [Path(settings.model)]
        outputs = outputs or list(settings.output)
    return read, [path for address in outputs if (path := file_of(address)) is not None]


def _absolute(address: str) -> str:
    """An output whose file has an absolute path; other addresses are as they are."""
    from edgernn.stream.sinks import file_of

    path = file_of(address)
    if path is None or path.is_absolute():
        return address
    return address.replace(str(path), str(path.absolute()), 1)


def _usb_id_of(source: str | None) -> str:
    """USB id of the board at a serial port."""
    from edgernn.stream.sources.ports import list_serial_ports
    from edgernn.stream.stream import only_port

    device = os.path.realpath((source or only_port()).removeprefix("serial://").partition("?")[0])
    usb_id = next((port.usb_id for port in list_serial_ports() if os.path.realpath(port.device) == device), None)
    if usb_id is None:
        raise click.UsageError(
            f"{device} is not the port of a plugged-in USB device: give --usb-id as shown by `edgernn ports`"
        )
    return usb_id
