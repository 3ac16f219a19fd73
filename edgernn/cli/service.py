"""``edgernn service``: a stream that starts with the machine or with its board."""

from __future__ import annotations

import os
import sys
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
def print_service(
    model: Path, source: str | None, part: str, name: str, usb_id: str | None, output: tuple[str, ...]
) -> None:
    """Print a systemd unit that runs MODEL on SOURCE, or the udev rule for its board.

    \b
    Example:
      edgernn service print gesture.toml | sudo tee /etc/systemd/system/edgernn.service
      edgernn service print gesture.toml --part udev --usb-id 2341:0043 | sudo tee /etc/udev/rules.d/90-edgernn.rules
      sudo systemctl daemon-reload && sudo systemctl enable --now edgernn
    """
    from edgernn.stream.systemd_unit import checked_name, service_unit, udev_rule

    if part == "udev":
        click.echo(udev_rule(usb_id or _usb_id_of(source), name), nl=False)
        return
    checked_name(name)
    words = [sys.executable, "-m", "edgernn", "run", str(model.resolve()), *([source] if source else [])]
    words += [word for path in output for word in ("--output", os.path.abspath(path))]
    click.echo(service_unit(words, model.name), nl=False)


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
