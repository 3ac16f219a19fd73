"""The command line: one file for each command, imported only when the command is used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from edgernn.version import __version__

# command -> (module, one line of help); the module defines a click command of the same name
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("edgernn.cli.demo", "See the whole path with no hardware: recording, serial port, model, events."),
    "ports": ("edgernn.cli.ports", "List serial ports with descriptions and stable names."),
    "inspect": ("edgernn.cli.inspect", "Show what a model needs, how it streams and why."),
    "check": ("edgernn.cli.check", "Compare streaming with onnxruntime on the whole sequence."),
    "convert": ("edgernn.cli.convert", "Write a model as a program file, or a recording as numbers."),
    "run": ("edgernn.cli.run", "Turn a source of samples into events, live."),
    "record": ("edgernn.cli.record", "Record the raw bytes of a source, with labels for collecting examples."),
    "replay": ("edgernn.cli.replay", "Play a recording into a virtual serial port."),
    "evaluate": ("edgernn.cli.evaluate", "Measure models on labelled recordings."),
    "quantize": ("edgernn.cli.quantize", "Turn a float model into an int8 program, with a report."),
    "export": ("edgernn.cli.export", "Write a model as C for a microcontroller."),
    "verify": ("edgernn.cli.verify", "Prove that an export computes the same as the host."),
    "profile": ("edgernn.cli.profile", "Measure how late answers are on this machine, and why."),
    "service": ("edgernn.cli.service", "Print a systemd unit and a udev rule for a stream."),
    "warm": ("edgernn.cli.warm", "Compile the kernels of a model in advance."),
    "docs": ("edgernn.cli.docs", "Print a page of the documentation."),
    "completion": ("edgernn.cli.completion", "Print the completion script of a shell."),
}


class LazyGroup(click.Group):
    """A group that knows the names and help of its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(COMMANDS[cmd_name][0]), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [name for name in COMMANDS if name.startswith(incomplete)]
        items = [CompletionItem(name, help=COMMANDS[name][1]) for name in names]
        return items + click.Command.shell_complete(self, ctx, incomplete)


def _print_version(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"edgernn {__version__}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Start with `edgernn demo`. The --help of every command shows an example.",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version."
)
def command_line() -> None:
    """Run small sequence models on live sensor data."""
