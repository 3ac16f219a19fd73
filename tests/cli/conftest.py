"""A command of the command line, run inside the test's process."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from edgernn.__main__ import main


class Done(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str


@pytest.fixture
def edgernn_command(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Done]]:
    """``edgernn_command("inspect", path)``: exit status, stdout and stderr."""
    handler = signal.getsignal(signal.SIGTERM)

    def run(*arguments: object) -> Done:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        return Done(status, *capsys.readouterr())

    yield run
    signal.signal(signal.SIGTERM, handler)
