"""``edgernn replay``: plays a recording into a virtual serial port, for any program that reads one."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from edgernn.cli.reading_options import tell
from edgernn.cli.text import escape

WAIT_S = 0.1


@click.command()
@click.argument("recording", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--fast", is_flag=True, help="As fast as the reader takes the bytes, not at the recorded pace.")
@click.option("--stdout", "to_stdout", is_flag=True, help="Write the bytes to standard output instead.")
def replay(recording: Path, fast: bool, to_stdout: bool) -> None:
    """Play the bytes of RECORDING again.

    They go into a virtual serial port, whose name is printed, so that any program can read them as from the board.
    Playing begins when a program opens the port. To run a model on a recording, use `edgernn run MODEL RECORDING`.

    \b
    Example:
      edgernn replay monday.edgerec
      edgernn replay monday.edgerec --fast --stdout | edgernn run gesture.onnx stdin:
    """
    from edgernn.recordings.sample_file import read_report
    from edgernn.stream.sources.virtual_port import VirtualPort

    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError), _noticed_interrupt() as interrupted:
        if to_stdout:
            _play(recording, fast, _write_stdout)
            tell(read_report(recording))
            return
        with VirtualPort() as port:
            click.echo(port.device)
            port.wait_for_reader(interrupted.is_set)
            _play(recording, fast, lambda data: _write_all(port.write, data) if fast else port.write(data))
            tell(read_report(recording))
            click.echo(f"edgernn: {escape(str(recording))} has ended; Ctrl-C closes the port", err=True)
            while not interrupted.is_set():  # closing it now would take away what is not read yet
                time.sleep(WAIT_S)


@contextlib.contextmanager
def _noticed_interrupt() -> Iterator[threading.Event]:
    """Set by Ctrl-C, which also raises as usual: Python drops what is raised while it finalises an object."""
    interrupted = threading.Event()

    def interrupt(number: int, frame: object) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def _play(recording: Path, fast: bool, write: Callable[[bytes], object]) -> None:
    from edgernn.stream.sources.replay import ReplaySource

    source = ReplaySource(str(recording), pace="fast" if fast else "recorded")
    source.open()
    try:
        while (chunk := source.read(WAIT_S)) is not None:
            write(chunk.data)
    finally:
        source.close()


def _write_stdout(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _write_all(write: Callable[[bytes], int], data: bytes) -> None:
    """A reader that is slow makes it wait."""
    while data:
        data = data[write(data) :]
