"""The board without hardware, as a process of its own."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgernn.stream.formats import FORMATS
from edgernn.stream.formats.csv import Csv
from edgernn.stream.formats.detect import Detector
from edgernn.stream.sources.serial_port import SerialSource

TOOL = Path(__file__).parents[2] / "tools" / "fake_device.py"


@pytest.mark.timeout(60)
def test_a_board_that_plays_until_it_is_told_to_end(tmp_path: Path) -> None:
    link = tmp_path / "board"
    command = [sys.executable, str(TOOL), "--rate", "500", "--channels", "4", "--link", str(link)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as board:
        assert board.stdout is not None
        assert board.stdout.readline().strip() == str(link)
        source, parser, samples = SerialSource(str(link)), Csv(4), 0
        source.open()
        while samples < 50:
            chunk = source.read(timeout_s=5.0)
            assert chunk is not None
            samples += sum(len(block.values) for block in parser.feed(chunk.data))
        board.send_signal(signal.SIGTERM)
        _, err = board.communicate(timeout=30)
        source.close()
    assert board.returncode == 0, err
    assert "samples sent" in err
    assert parser.count("malformed") == parser.count("wrong_width") == 0
    assert not link.is_symlink()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("format_name", [name for name in FORMATS if name != "csv-comma"])
def test_every_format_is_found(format_name: str, tmp_path: Path) -> None:
    link = tmp_path / "board"
    command = [sys.executable, str(TOOL), "--rate", "500", "--channels", "2", "--link", str(link), "--names", "u,v"]
    with subprocess.Popen(
        [*command, "--format", format_name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as board:
        assert board.stdout is not None
        assert board.stdout.readline().strip() == str(link)
        source, detector, found = SerialSource(str(link)), Detector(), None
        source.open()
        while found is None:
            chunk = source.read(timeout_s=5.0)
            assert chunk is not None
            found = detector.feed(chunk.data)
        board.send_signal(signal.SIGTERM)
        _, err = board.communicate(timeout=30)
        source.close()
    assert board.returncode == 0, err
    names = {"csv": (), "cobs": (), "plotter": ("u", "v"), "jsonl": ("seq", "t_ms", "u", "v")}
    assert (found.format, found.channels) == (format_name, names[format_name])
