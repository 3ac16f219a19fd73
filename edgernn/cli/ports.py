"""``edgernn ports``: the serial ports of this machine."""

from __future__ import annotations

import click

from edgernn.cli.options import json_option
from edgernn.cli.text import format_table, print_json


@click.command()
@json_option
def ports(as_json: bool) -> None:
    """List serial ports with descriptions and stable names.

    A stable name stays the same when the board comes back under another number.

    \b
    Example:
      edgernn ports
    """
    import msgspec

    from edgernn.stream.sources.ports import list_serial_ports

    found = list_serial_ports()
    if as_json:
        print_json([msgspec.to_builtins(port) for port in found])
    elif not found:
        click.echo("no serial port was found: plug the board in; some cables only charge", err=True)
    else:
        rows: list[tuple[object, ...]] = [("port", "description", "board", "usb id", "used by", "stable name")]
        rows += [
            (
                port.device,
                port.description,
                port.family or "",
                port.usb_id or "",
                port.holder or "",
                port.stable_name or "",
            )
            for port in found
        ]
        click.echo(format_table(rows, indent=0))
