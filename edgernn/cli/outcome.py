"""Runs one command, and turns errors and signals into messages and exit statuses."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper

import click

from edgernn.cli import command_line
from edgernn.cli.text import escape
from edgernn.errors import ConfigError, EdgeRNNError, ModelError, ProgramFileError
from edgernn.stream.stop_signals import stop_signals

SUCCESS, FAILED, USAGE, REFUSED = 0, 1, 2, 3  # exit statuses; SUCCESS also when stopped by a signal


def run_command(arguments: Sequence[str] | None) -> int:
    """Run the command of these words, or of the process's; the exit status."""
    try:
        for number in stop_signals():  # all end a command with what it has to say
            signal.signal(number, signal.default_int_handler)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a terminal without Unicode still shows everything
        status = command_line.main(arguments, prog_name="edgernn", standalone_mode=False)
        return status if isinstance(status, int) else SUCCESS
    except (click.Abort, KeyboardInterrupt):
        return SUCCESS
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except Exception as error:
        if os.environ.get("EDGERNN_DEBUG") == "1":
            raise
        message, status = _describe(error)
        click.echo("edgernn: error: " + escape(message, keep="\n"), err=True)
        return status


def _describe(error: Exception) -> tuple[str, int]:
    """Message and exit status for an error."""
    if isinstance(error, click.ClickException):
        hint = ""
        if isinstance(error, click.UsageError) and error.ctx is not None:
            hint = f"\nTry '{error.ctx.command_path} --help' for help."
        return error.format_message() + hint, error.exit_code
    if isinstance(error, ModelError | ProgramFileError):
        return str(error), REFUSED
    if isinstance(error, ConfigError):
        return str(error), USAGE
    if isinstance(error, EdgeRNNError | OSError):
        return str(error), FAILED
    return f"internal: {type(error).__name__}: {error}\nEDGERNN_DEBUG=1 shows where; please report it.", FAILED
