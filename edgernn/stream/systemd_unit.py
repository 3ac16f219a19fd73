"""A stream as a service: the systemd unit that runs it, and the udev rule that starts it with its board."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgernn.errors import ConfigError

WATCHDOG_S = 60
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_USB_ID = re.compile(r"([0-9a-f]{4}):([0-9a-f]{4})", re.IGNORECASE)

_UNIT = """\
[Unit]
Description=edgernn: events from {what}
StartLimitIntervalSec=0

[Service]
# ready once the model is compiled and the source is open; the first time that takes minutes on a small board
Type=notify
ExecStart={command}
TimeoutStartSec=15min
# fed only after a step of the model: a service that no longer works, or whose board is silent, is started again
WatchdogSec={watchdog_s}
Restart=on-failure
RestartSec=2
# its own user, who may open serial ports
DynamicUser=yes
SupplementaryGroups=dialout
CacheDirectory=edgernn
CacheDirectoryMode=0700
Environment=EDGERNN_CACHE_DIR=%C/edgernn
# for run --realtime
LimitRTPRIO=20
LimitMEMLOCK=infinity

[Install]
WantedBy=multi-user.target
"""

_RULE = """\
# the board has the name /dev/{name}, ModemManager leaves it alone, and the service starts when it is plugged in
SUBSYSTEM=="tty", ATTRS{{idVendor}}=="{vendor}", ATTRS{{idProduct}}=="{product}", GROUP="dialout", \
SYMLINK+="{name}", ENV{{ID_MM_DEVICE_IGNORE}}="1", TAG+="systemd", ENV{{SYSTEMD_WANTS}}+="{name}.service"
"""


def service_unit(command: Sequence[str], what: str) -> str:
    """A systemd unit.

    Parameters
    ----------
    command : sequence of str
        The words of the command, the first an absolute path.
    what : str
        What it gives events from, for people.

    Raises
    ------
    ConfigError
        A word holds a control character, which no unit can hold.
    """
    if any(not word.isprintable() for word in (*command, what)):
        raise ConfigError("a path with a control character cannot stand in a unit: rename the file")
    words = " ".join(_quoted(word) for word in command)
    return _UNIT.format(what=what.replace("%", "%%"), command=words, watchdog_s=WATCHDOG_S)


def udev_rule(usb_id: str, name: str) -> str:
    """A udev rule for the board with this USB id.

    Raises
    ------
    ConfigError
        `usb_id` is not as ``2341:0043``, or `name` holds more than letters, digits and ``_.@-``.

    Examples
    --------
    >>> print(udev_rule("2341:0043", "gesture").splitlines()[1].split(", ")[1])
    ATTRS{idVendor}=="2341"
    """
    match = _USB_ID.fullmatch(usb_id)
    if match is None:
        raise ConfigError(f"usb id {usb_id!r} must be two numbers as 2341:0043; `edgernn ports` shows those of boards")
    vendor, product = match.groups()
    return _RULE.format(vendor=vendor.lower(), product=product.lower(), name=checked_name(name))


def checked_name(name: str) -> str:
    """`name`, if a service may have it.

    Raises
    ------
    ConfigError
        It may not.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"name {name!r} must be letters, digits and _.@- only, at most 64")
    return name


def _quoted(word: str) -> str:
    """A word as systemd reads it: specifiers, variables and quotes mean themselves."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if re.search(r"[^\w@%+=:,./-]", word) or not word else escaped
