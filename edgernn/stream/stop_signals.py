"""The signals that end a command, with all that it has to say. Imports only what every Python process has."""

from __future__ import annotations

import signal

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")  # some systems have only the first two


def stop_signals() -> tuple[signal.Signals, ...]:
    """Ctrl-C, a service manager's stop, a closed terminal, Ctrl-\\; a hang-up that is ignored (``nohup``) stays so."""
    found = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    return tuple(
        number for number in found if number.name != "SIGHUP" or signal.getsignal(number) is not signal.SIG_IGN
    )
