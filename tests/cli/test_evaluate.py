"""`edgernn evaluate`, from files to a table, JSON, a page and a configuration that `edgernn run` takes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from stream_models import larger_channel, turns

from edgernn.program.file import save


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "larger.safetensors"
    save(larger_channel(rate_hz=50.0), path)
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "turns.csv"
    rows = [f"{x},{y},{z},{'first' if x else 'second'}" for x, y, z in turns(6)]
    path.write_text("\n".join(["x,y,z,label", *rows]))
    return path


Command = Callable[..., tuple[int, str, str]]


def test_a_table_with_two_models_side_by_side(edgernn_command: Command, model: Path, recording: Path) -> None:
    status, out, _ = edgernn_command("evaluate", model, recording, "--also", model)
    assert status == 0
    lines = [line.split() for line in out.splitlines()]
    assert ["larger.safetensors", "larger.safetensors"] in lines
    assert ["accuracy", "of", "labelled", "outputs", "1.0000", "1.0000"] in lines
    assert ["second", "0", "30"] in lines


def test_json_page_and_configuration(edgernn_command: Command, model: Path, recording: Path, tmp_path: Path) -> None:
    page, config = tmp_path / "page.html", tmp_path / "best.toml"
    status, out, err = edgernn_command("evaluate", model, recording, "--json", "--html", page, "--sweep", config)
    assert status == 0, err
    (report,) = json.loads(out)
    assert report["outputs"]["confusion"] == [[30, 0], [0, 30]]
    assert report["events"]["detected"] == 6
    assert page.read_text("utf-8").startswith("<!DOCTYPE html>")
    samples = tmp_path / "samples.csv"
    samples.write_text("".join(f"{x},{y},{z}\n" for x, y, z in turns(6)))
    status, out, err = edgernn_command("run", config, samples)
    assert status == 0, err
    assert len(out.splitlines()) == 6


def test_a_sweep_of_a_configuration_keeps_what_it_says(
    edgernn_command: Command, recording: Path, tmp_path: Path
) -> None:
    save(larger_channel(softmax=False), tmp_path / "plain.safetensors")
    first, best, samples = tmp_path / "first.toml", tmp_path / "best" / "best.toml", tmp_path / "samples.csv"
    best.parent.mkdir()
    first.write_text('model = "plain.safetensors"\nrate_hz = 50.0\n[decision]\nhold_off_steps = 2\n')
    flags = ("--logits", "--columns", "0,1,2")
    status, _, err = edgernn_command("evaluate", first, recording, *flags, "--sweep", best)
    assert status == 0, err
    samples.write_text("".join(f"{x},{y},{z}\n" for x, y, z in turns(6)))
    status, out, err = edgernn_command("run", best, samples)
    assert status == 0, err
    assert len(out.splitlines()) == 6
    assert "hold_off_steps = 2" in best.read_text()


def test_flags_of_run_are_flags_of_evaluate(edgernn_command: Command, model: Path, recording: Path) -> None:
    status, out, _ = edgernn_command(
        "evaluate", model, recording, "--json", "--threshold", 1.0, "--columns", "1,0,2", "--labels", "second,first"
    )
    (report,) = json.loads(out)
    assert (status, report["outputs"]["accuracy"], report["events"]["detected"]) == (0, 1.0, 0)


def test_what_is_wrong_is_said(edgernn_command: Command, model: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("1,2,3\n")
    status, _, err = edgernn_command("evaluate", model, bad)
    assert (status, "no column called label" in err) == (1, True)
    status, _, err = edgernn_command("evaluate", model)
    assert status == 2


def test_a_sweep_without_a_rate_is_refused(edgernn_command: Command, recording: Path, tmp_path: Path) -> None:
    model = tmp_path / "no_rate.safetensors"
    save(larger_channel(), model)
    status, _, err = edgernn_command("evaluate", model, recording, "--sweep", tmp_path / "best.toml")
    assert (status, "give --rate" in err) == (2, True)
