"""``edgernn warm``: compiles and caches what a model needs."""

from __future__ import annotations

import time
from pathlib import Path

import click

from edgernn.cli.options import LoadOptions, model_argument, model_options


@click.command()
@model_argument
@model_options
def warm(model: Path, load_options: LoadOptions) -> None:
    """Compile and cache what MODEL needs, so that its first run starts at once.

    Useful in the set-up of a device: compiling takes many times longer on a Raspberry Pi than on a laptop.

    \b
    Example:
      edgernn warm gesture.onnx
    """
    from edgernn.runner import warm as compile_kernels

    program = load_options.load(model)
    begin_s = time.monotonic()
    compile_kernels(program)
    click.echo(f"{model} is ready to run ({time.monotonic() - begin_s:.1f} s)", err=True)
