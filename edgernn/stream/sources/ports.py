"""Serial ports of this machine: which there are, their stable names, who holds them, and what to do about errors."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any

import msgspec

from edgernn.errors import ConfigError, SourceBusyError, SourceError, SourceNotFoundError, SourcePermissionError
from edgernn.stream.sources.boards import board_family

STABLE_FOLDERS = (Path("/dev/serial/by-id"), Path("/dev/serial/by-path"))


class PortInfo(msgspec.Struct, frozen=True):
    """A serial port.

    Attributes
    ----------
    device : str
        What to open, such as ``/dev/ttyACM0`` or ``COM3``.
    description : str
        What the device says about itself.
    stable_name : str or None
        A name that stays when the device comes back under another number.
    usb_id : str or None
        Vendor and product, as ``2341:0043``.
    family : str or None
        Kind of board, as far as its USB id tells.
    holder : str or None
        The process that has it open, as far as this user may know.
    """

    device: str
    description: str
    stable_name: str | None = None
    usb_id: str | None = None
    holder: str | None = None
    family: str | None = None


def list_serial_ports() -> list[PortInfo]:
    """Serial ports that belong to a device, in the order of their names.

    Ports that are only reserved, such as the sixteen ``/dev/ttyS`` of a PC without any, are left out.
    """
    from serial.tools import list_ports

    found = []
    for port in sorted(list_ports.comports(), key=lambda port: _natural(port.device)):
        if port.hwid == "n/a":
            continue
        usb_id = _usb_id(port)
        description = port.description if port.description != "n/a" else port.hwid
        family = board_family(usb_id)
        found.append(
            PortInfo(
                port.device,
                description,
                stable_name(port.device),
                usb_id,
                holder(port.device),
                None if family is None else family.name,
            )
        )
    return found


def usb_id_of(device: str) -> str | None:
    """USB id of the chip behind a serial port, as ``2341:0043``; None if it has none."""
    from serial.tools import list_ports

    target = os.path.realpath(device)
    return next((_usb_id(port) for port in list_ports.comports() if os.path.realpath(port.device) == target), None)


def _usb_id(port: Any) -> str | None:
    return None if port.vid is None else f"{port.vid:04x}:{port.pid:04x}"


def only_serial_port() -> str:
    """Device of the only serial port.

    Raises
    ------
    ConfigError
        There is none, or more than one.
    """
    found = list_serial_ports()
    if not found:
        raise ConfigError("no serial port was found: plug the board in, or give SOURCE (a device, a file or stdin:)")
    if len(found) > 1:
        names = ", ".join(port.device for port in found)
        raise ConfigError(f"there are {len(found)} serial ports: give one of {names} as SOURCE")
    return found[0].device


def stable_name(device: str) -> str | None:
    """The link in ``/dev/serial`` that leads to `device`: by-id if there is one, else by-path."""
    target = os.path.realpath(device)
    for folder in STABLE_FOLDERS:
        if folder.is_dir():
            for link in sorted(folder.iterdir()):
                if os.path.realpath(link) == target:
                    return str(link)
    return None


def holder(device: str) -> str | None:
    """Name and number of another process that has `device` open; None if nobody has or it cannot be seen."""
    target = os.path.realpath(device)
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            if any(os.path.realpath(link) == target for link in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:
            continue  # ended meanwhile, or belongs to another user
    return None


def open_error(device: str, error: Exception) -> SourceError:
    """The error for a port that cannot be opened, with its remedy."""
    number = getattr(error, "errno", None)
    if number in {errno.EBUSY, errno.EAGAIN}:
        by = holder(device)
        remedy = f"close {by or 'the program that uses it (a serial monitor, another edgernn)'} and try again"
        if by is not None and by.startswith("ModemManager"):
            remedy = "ModemManager probes it: wait half a minute, or stop it with: sudo systemctl stop ModemManager"
        return SourceBusyError(f"{device} is in use: {remedy}")
    if number in {errno.EACCES, errno.EPERM}:
        return SourcePermissionError(
            f"you may not open {device}: run `sudo usermod -aG {_group(device)} $USER`, log out and in again"
        )
    if number in {errno.ENOENT, errno.ENXIO, errno.ENODEV} or isinstance(error, FileNotFoundError):
        present = ", ".join(port.device for port in list_serial_ports()) or "none"
        return SourceNotFoundError(f"there is no port {device}: plug it in; ports that are there: {present}")
    return SourceError(f"{device} cannot be opened: {error}")


def _group(device: str) -> str:
    """The group that may open `device`."""
    try:
        return Path(device).group()
    except (OSError, KeyError, NotImplementedError):
        return "dialout"


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts COM9 before COM10."""
    return [(int(part or 0), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]
