"""A board without hardware: plays samples into a virtual serial port until Ctrl-C.

Usage: ``python tools/fake_device.py [RECORDING.npz] --rate 50 --format csv``, then open the printed port in another
terminal, such as with ``edgernn run MODEL /dev/pts/3``. With ``--link`` the port has a name that stays, under which
``--unplug-every`` brings it back.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.cli.options import option_group
from edgernn.stream.sources.virtual_port import VirtualBoard, VirtualPort, cobs_frames, csv_frames

UNPLUGGED_S = 1.0


def plotter_frames(samples: NDArray[np.floating], names: list[str]) -> Iterator[bytes]:
    """Samples (n, channels) as lines of ``name:number``."""
    for sample in samples:
        yield ("\t".join(f"{name}:{value:.5g}" for name, value in zip(names, sample, strict=True)) + "\r\n").encode()


def jsonl_frames(samples: NDArray[np.floating], rate_hz: float, names: list[str]) -> Iterator[bytes]:
    """Samples (n, channels) as JSON objects with the sequence and time of the board."""
    for sequence, sample in enumerate(samples):
        numbers = {name: round(float(value), 5) for name, value in zip(names, sample, strict=True)}
        yield (json.dumps({"seq": sequence, "t_ms": round(sequence * 1e3 / rate_hz), **numbers}) + "\n").encode()


FORMATS: dict[str, Callable[[NDArray[np.floating], float, list[str]], Iterator[bytes]]] = {
    "csv": lambda samples, rate_hz, names: csv_frames(samples),
    "cobs": lambda samples, rate_hz, names: cobs_frames(samples, rate_hz),
    "plotter": lambda samples, rate_hz, names: plotter_frames(samples, names),
    "jsonl": jsonl_frames,
}


class FaultOptions(msgspec.Struct, frozen=True):
    """What goes wrong."""

    lose: float
    damage: float
    unplug_every: float | None


fault_options = option_group(
    "faults",
    FaultOptions,
    (
        click.option("--lose", default=0.0, help="Share of samples that are not sent."),
        click.option("--damage", default=0.0, help="Share of samples with a changed byte."),
        click.option("--unplug-every", type=float, help="Take the port away for a second, every so many seconds."),
    ),
)


@click.command()
@click.argument("recording", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--rate", default=50.0, show_default=True, help="Samples a second.")
@click.option("--format", "format_name", type=click.Choice(list(FORMATS)), default="csv", show_default=True)
@click.option("--channels", default=3, show_default=True, help="Channels of made-up samples, without a recording.")
@click.option(
    "--names", "names_given", metavar="NAME,…", help="Of the channels, for plotter and jsonl.  [default: x0,x1,…]"
)
@click.option("--link", type=click.Path(path_type=Path), help="Also give the port this name.")
@fault_options
@click.option("--seed", default=1, show_default=True, help="Of losses, damage and made-up samples.")
def fake_device(
    recording: Path | None,
    rate: float,
    format_name: str,
    channels: int,
    names_given: str | None,
    link: Path | None,
    faults: FaultOptions,
    seed: int,
) -> None:
    """Play samples into a virtual serial port."""
    random = np.random.default_rng(seed)
    samples = made_up_samples(rate, channels) if recording is None else read_samples(recording)
    names = [f"x{channel}" for channel in range(samples.shape[1])] if names_given is None else names_given.split(",")
    frames = FORMATS[format_name](samples, rate, names)
    faulty = with_faults(itertools.cycle(frames), faults.lose, faults.damage, random)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does, and takes the link away
    with contextlib.closing(Ports(link)) as ports:
        board = VirtualBoard(ports.write, faulty, rate)
        with contextlib.suppress(KeyboardInterrupt):
            board.start()
            ports.come_and_go(faults.unplug_every)
        board.stop()
    print(f"{board.sent} samples sent", file=sys.stderr)


class Ports:
    """One virtual port after the other, under the same link."""

    def __init__(self, link: Path | None) -> None:
        self._link = link
        self._plug()

    def write(self, data: bytes) -> None:
        self._port.write(data)

    def come_and_go(self, every_s: float | None) -> None:
        """Wait for ever; take the port away now and then if `every_s` says so."""
        waiting = threading.Event()
        while not waiting.wait(every_s):
            print("unplugged", file=sys.stderr)
            self.close()
            waiting.wait(UNPLUGGED_S)
            self._plug()

    def close(self) -> None:
        if self._link is not None:
            self._link.unlink(missing_ok=True)
        self._port.close()

    def _plug(self) -> None:
        self._port = VirtualPort()
        if self._link is not None:
            self._link.unlink(missing_ok=True)
            self._link.symlink_to(self._port.device)
        print(self._link or self._port.device, flush=True)


def read_samples(path: Path) -> NDArray[np.floating]:
    """The array ``samples`` (n, channels) of an .npz file."""
    with np.load(path, allow_pickle=False) as arrays:
        samples: NDArray[np.floating] = arrays["samples"]
    return samples


def made_up_samples(rate_hz: float, channels: int) -> NDArray[np.floating]:
    """Ten seconds of sines (n, channels), each channel a little later than the one before."""
    time_s = np.arange(round(10 * rate_hz)) / rate_hz
    return np.sin(2 * np.pi * (time_s[:, None] - 0.1 * np.arange(channels)))


def with_faults(frames: Iterator[bytes], lose: float, damage: float, random: np.random.Generator) -> Iterator[bytes]:
    """Frames of which some are missing and some have one byte changed."""
    for frame in frames:
        if random.random() < lose:
            yield b""
        elif random.random() < damage:
            place = int(random.integers(len(frame)))
            yield frame[:place] + bytes([frame[place] ^ 1 << int(random.integers(8))]) + frame[place + 1 :]
        else:
            yield frame


if __name__ == "__main__":
    fake_device()
