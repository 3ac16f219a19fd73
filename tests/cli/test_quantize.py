"""``edgernn quantize``: an int8 program file and a report of what changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import edgernn
from edgernn.demo import MODEL, RECORDING

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 400 samples of the shipped recording, with labels for some of them."""
    path = tmp_path_factory.mktemp("quantize") / "short.npz"
    with np.load(RECORDING) as arrays:
        samples, names = arrays["samples"][:400], arrays["label_names"]
    interval = {"interval_start": [50, 310], "interval_stop": [300, 390], "interval_label": [2, 3]}
    np.savez(path, samples=samples, label_names=names, **interval)
    return path


def test_program_report_and_page(tmp_path: Path, recording: Path, edgernn_command: Command) -> None:
    output, page = tmp_path / "int8.safetensors", tmp_path / "report.html"
    status, out, _ = edgernn_command("quantize", MODEL, "-c", recording, "-o", output, "--html", page, "--json")
    assert status == 0
    result, int8 = json.loads(out), edgernn.load(output)
    assert int8.arithmetic == "int8"
    assert result["hash"] == int8.hash
    report = result["report"]
    assert report["frames"] == 400
    assert report["agreement"] > 0.99
    assert report["weight_bytes_after"] < report["weight_bytes_before"] / 3
    (evaluated,) = json.loads(edgernn_command("evaluate", MODEL, recording, "--json")[1])
    assert report["labelled_outputs"] == evaluated["outputs"]["outputs"]
    assert report["float_accuracy"] == evaluated["outputs"]["accuracy"]
    (evaluated,) = json.loads(edgernn_command("evaluate", output, recording, "--json")[1])
    assert report["int8_accuracy"] == evaluated["outputs"]["accuracy"]
    html = page.read_text("utf-8")
    assert html.count("<svg") == 3
    assert all(layer["name"] in html for layer in report["layers"])


def test_choices_reach_the_quantizer(tmp_path: Path, recording: Path, edgernn_command: Command) -> None:
    output = tmp_path / "int8.safetensors"
    given = ["--operands", "w8a8", "--layer", "/net/head/MatMul=w8a16", "--state-bits", "32", "--count-size", "0.001"]
    status, out, err = edgernn_command("quantize", MODEL, "-c", recording, "-o", output, *given)
    assert (status, "400 samples; nothing was passed over" in err) == (0, True)
    assert "same largest score" in out
    program = edgernn.load(output)
    bits = {operation.name: getattr(operation, "operand_bits", None) for operation in program.operations}
    assert (bits["/net/cell/GRU"], bits["/net/head/MatMul"]) == (8, 16)
    assert program.state[0].dtype == "int32"
    assert program.takes_counts


def test_equalising_can_be_switched_off(tmp_path: Path, recording: Path, edgernn_command: Command) -> None:
    output = tmp_path / "int8.safetensors"
    given = ["quantize", MODEL, "-c", recording, "-o", output, "--operands", "w8a8"]
    _, out, _ = edgernn_command(*given)
    assert "\nequalized /net/" in out
    _, out, _ = edgernn_command(*given, "--no-equalize")
    assert "equalized" not in out
    assert not edgernn.load(output).description.equalized


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--layer", "nothing"], 2, "OPERATION=w8a16"),
        (["--layer", "nothing=w8a8"], 1, "there is no operation 'nothing'"),
        (["--keep-float", "nothing"], 1, "there is no operation 'nothing'"),
        (["--operands", "w4a4"], 2, "w4a4"),
    ],
)
def test_wrong_choices_write_nothing(
    arguments: list[str], status: int, message: str, tmp_path: Path, recording: Path, edgernn_command: Command
) -> None:
    output = tmp_path / "int8.safetensors"
    found, out, err = edgernn_command("quantize", MODEL, "-c", recording, "-o", output, *arguments)
    assert (found, out) == (status, "")
    assert message in err
    assert not output.exists()


@pytest.mark.parametrize(("samples", "message"), [(np.zeros((50, 6)), "zero throughout"), (np.ones((50, 5)), "shape")])
def test_a_calibration_that_cannot_be_used(
    samples: np.ndarray, message: str, tmp_path: Path, edgernn_command: Command
) -> None:
    np.save(tmp_path / "odd.npy", samples)
    status, _, err = edgernn_command("quantize", MODEL, "-c", tmp_path / "odd.npy", "-o", tmp_path / "x.safetensors")
    assert status == 1
    assert message in err


def test_nothing_is_written_where_integers_lose_too_much(
    tmp_path: Path, recording: Path, edgernn_command: Command
) -> None:
    """A limit that no int8 program reaches."""
    output = tmp_path / "int8.safetensors"
    status, out, err = edgernn_command("quantize", MODEL, "-c", recording, "-o", output, "--min-snr", "190")
    assert (status, out) == (1, "")
    assert "below 190 dB; most is lost by" in err
    assert not output.exists()
