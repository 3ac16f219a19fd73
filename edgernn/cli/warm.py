"""``edgernn warm``: compiles and caches the kernels of a model."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from edgernn.cli.options import LoadOptions, model_argument, model_options


@click.command()
@model_argument
@model_options
@click.pass_context
def warm(ctx: click.Context, model: Path, load_options: LoadOptions) -> None:
    """Compile and cache the kernels of MODEL, so that its first run starts at once.

    Useful when a device is set up: compiling takes many times longer on a Raspberry Pi than on a laptop.

    \b
    Example:
      edgernn warm gesture.onnx
    """
    from edgernn.kernels.codegen.library import cache_folder
    from edgernn.runtime.runner import warm as compile_kernels
    from edgernn.stream.pipeline import link_stream_kernels

    program = load_options.load_as_run(model)
    begin_s = time.monotonic()
    compile_kernels(program)
    link_stream_kernels()
    folder = cache_folder()
    if not os.access(folder, os.W_OK | os.X_OK):
        click.echo(f"nothing was cached: set EDGERNN_CACHE_DIR to your own folder, not {folder}", err=True)
        ctx.exit(1)
    click.echo(f"{model} is ready to run ({time.monotonic() - begin_s:.1f} s)", err=True)
