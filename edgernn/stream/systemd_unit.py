"""A stream as a service: the systemd unit that runs it, and the udev rule that starts it with its board."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgernn.errors import ConfigError
from edgernn.stream.service_account import Account

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
# {reason}
{user}
SupplementaryGroups=dialout
StateDirectory={name}
WorkingDirectory=%S/{name}
CacheDirectory={name}
CacheDirectoryMode=0700
Environment=EDGERNN_CACHE_DIR=%C/{name}
{written}{realtime}# its files, a serial port and the network, and nothing else of the machine
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome={home}
PrivateTmp=yes
PrivateMounts=yes
DevicePolicy=closed
DeviceAllow=char-ttyACM rw
DeviceAllow=char-ttyUSB rw
DeviceAllow=char-ttyS rw
DeviceAllow=char-ttyAMA rw
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
ProcSubset=pid
LockPersonality=yes
RemoveIPC=yes
RestrictNamespaces=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged{resources}

[Install]
WantedBy=multi-user.target
"""

_REALTIME = """\
# for run --realtime
LimitRTPRIO=20
LimitMEMLOCK=infinity
"""

_RULE = """\
# the board has the name /dev/{name}, ModemManager leaves it alone, and the service starts when it is plugged in
SUBSYSTEM=="tty", ATTRS{{idVendor}}=="{vendor}", ATTRS{{idProduct}}=="{product}", GROUP="dialout", \
SYMLINK+="{name}", ENV{{ID_MM_DEVICE_IGNORE}}="1", TAG+="systemd", ENV{{SYSTEMD_WANTS}}+="{name}.service"
"""


def service_unit(command: Sequence[str], what: str, name: str, account: Account, *, realtime: bool = False) -> str:
    """A systemd unit.

    Parameters
    ----------
    command : sequence of str
        The words of the command, the first an absolute path.
    what : str
        What it gives events from, for people.
    name : str
        Name of the service, of its state directory and of its cache directory.
    account : Account
        Who runs it.
    realtime : bool
        Whether it may ask for real-time settings.

    Raises
    ------
    ConfigError
        A word holds a control character, which no unit can hold.
    """
    written = [str(folder) for folder in account.written]
    if any(not word.isprintable() for word in (*command, what, account.reason, *written)):
        raise ConfigError("a path with a control character cannot stand in a unit: rename the file")
    return _UNIT.format(
        what=what.replace("%", "%%"),
        command=" ".join(_quoted(word) for word in command),
        watchdog_s=WATCHDOG_S,
        reason=account.reason,
        user="DynamicUser=yes" if account.user is None else f"User={account.user}",
        name=checked_name(name),
        written="".join(f"ReadWritePaths={_quoted(folder)}\n" for folder in written),
        realtime=_REALTIME if realtime else "RestrictRealtime=yes\n",
        home="read-only" if account.needs_home else "yes",
        resources="" if realtime else " @resources",
    )


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
