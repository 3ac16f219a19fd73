"""``edgernn completion``: the script that lets a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    Example:
      edgernn completion bash > ~/.local/share/bash-completion/completions/edgernn
    """
    from edgernn.cli import command_line

    script = get_completion_class(shell)
    assert script is not None  # click brings these three
    click.echo(script(command_line, {}, "edgernn", "_EDGERNN_COMPLETE").source())
