"""What each ecosystem gets, and the commands that write and prove it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from firmware_programs import int8_cell
from firmware_step_programs import Builder
from small_programs import cell_program, recording

from edgernn.cli import command_line
from edgernn.errors import ExportError
from edgernn.program.file import save
from edgernn.program.metadata import DecisionSettings, Metadata
from edgernn.program.operations import Schedule, Softmax
from edgernn.stream.decisions import Decider
from firmware_export import export
from firmware_export.boards import BOARDS, fit
from firmware_export.generate import CModel
from firmware_export.host import host_outputs, make_golden
from firmware_export.targets import TARGETS
from firmware_export.verify import open_export

FILES = {
    "c": {"Makefile", "example.c", "implementation.c", "edgernn_link.h", "gesture_answer.h", "gesture.h"},
    "arduino": {"library.properties", "src/gesture.h", "src/gesture.c", "src/gesture_answer.h", "src/edgernn_link.h"}
    | {"examples/events/events.ino", "examples/answer/answer.ino"},
    "platformio": {"library.json", "src/gesture.h", "src/gesture.c", "examples/events/events.ino"},
    "esp-idf": {"CMakeLists.txt", "idf_component.yml", "src/gesture.c"},
    "zephyr": {"zephyr/module.yml", "zephyr/CMakeLists.txt", "zephyr/Kconfig", "src/gesture.c"},
    "cmake": {"CMakeLists.txt", "src/gesture.h"},
}


@pytest.mark.parametrize("target", TARGETS)
def test_files_of_every_target(target: str, tmp_path: Path) -> None:
    program = int8_cell("gru", "w8a16")
    written = export(
        program, tmp_path, target, make_golden(program, "gesture"), name="gesture", command="edgernn export g"
    )
    names = {str(path.relative_to(tmp_path)) for path in written}
    assert FILES[target] <= names
    assert {"README.md", "edgernn.json", "program.safetensors"} <= names
    for path in written:
        if path.suffix not in {".safetensors", ".json"}:
            assert "$" not in path.read_text().replace("$(CC)", "").replace("$(CFLAGS)", "").replace("$@", "").replace(
                "${COMPONENT_LIB}", ""
            )
    for path in written:
        if path.suffix in {".h", ".c", ".ino"}:
            assert path.read_text().startswith(("/* SPDX-License-Identifier: 0BSD", "// SPDX-License-Identifier: 0BSD"))
    header = next(path for path in written if path.name == "gesture.h").read_text()
    assert "command  edgernn export g" in header
    assert program.hash in header
    if target == "platformio":
        assert json.loads((tmp_path / "library.json").read_text())["headers"] == "gesture.h"
    assert ("Unverified" in (tmp_path / "README.md").read_text()) == (target in {"platformio", "esp-idf", "zephyr"})
    assert open_export(tmp_path).model.program.hash == program.hash


def test_cmake_builds_and_tests(needs_tool: Callable[[str], str], tmp_path: Path) -> None:
    needs_tool("cmake")
    program = int8_cell("lstm", "w8a8")
    export(program, tmp_path / "src", "cmake", make_golden(program, "gesture"), name="gesture")
    for command in (
        ["cmake", "-S", "src", "-B", "build"],
        ["cmake", "--build", "build"],
        ["ctest", "--test-dir", "build"],
    ):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "100% tests passed" in done.stdout


def test_the_example_prints_what_the_host_computes(needs_tool: Callable[[str], str], tmp_path: Path) -> None:
    needs_tool("make")
    program = cell_program("gru")
    golden = make_golden(program, "gesture")
    export(program, tmp_path, "c", golden, name="gesture")
    subprocess.run(["make", "-s", "example"], cwd=tmp_path, check=True)
    lines = "\n".join(",".join(str(number) for number in sample) for sample in golden.inputs["x"])
    noise = "garbage\n1,2\n"  # lines that are no samples are passed over
    done = subprocess.run(
        [tmp_path / "example"], input=noise + lines + "\n", capture_output=True, text=True, check=True
    )
    printed = [[float(word) for word in line.split(",")] for line in done.stdout.splitlines()]
    for row, own in zip(printed, golden.outputs["y"], strict=True):
        assert row == pytest.approx(own.tolist(), abs=1e-5)


def test_the_example_decides_to_the_end_of_a_delayed_model(needs_tool: Callable[[str], str], tmp_path: Path) -> None:
    needs_tool("make")
    b, late, labels = Builder(5), Schedule(first=2, extra=0), ("left", "right", "turn")
    b.convolution("c", "x", 3, 3, late, taps=5)
    b.give(b.add(Softmax, "y", "c", when=late), late)
    decision = DecisionSettings(threshold=0.5, release=0.45)
    program = b.program(3, tail_steps=2).with_metadata(Metadata(labels=labels, decision=decision))
    export(program, tmp_path, "c", make_golden(program, "gesture"), name="gesture")
    subprocess.run(["make", "-s", "example"], cwd=tmp_path, check=True)
    samples = np.repeat(recording(3, 25, seed=8) * 3, 2, axis=0)  # (steps, 3)
    lines = "\n".join(",".join(f"{number:.9g}" for number in sample) for sample in samples) + "\n"
    done = subprocess.run([tmp_path / "example"], input=lines, capture_output=True, text=True, check=True)
    scores = host_outputs(program, {"x": samples}, flush=True)["y_out"]
    assert len(scores) == len(samples)
    expected = [labels[event.label] for event in Decider(decision, labels).feed(scores)]
    assert len(set(expected)) > 1
    assert [line.split()[0] for line in done.stdout.splitlines()] == expected


def test_a_model_too_large_for_a_board_is_refused_with_sizes() -> None:
    program = cell_program("lstm", K=6, H=64)
    with pytest.raises(ExportError, match=r"does not fit on Arduino Uno.*it needs 7\d{4} bytes of flash.*has 32256"):
        fit(CModel(program, "model"), "uno")
    with pytest.raises(ExportError, match="no board 'abacus'"):
        fit(CModel(program, "model"), "abacus")
    assert fit(CModel(program, "model"), "pico").flash_bytes > 70_000


def test_a_gru_64_fits_an_uno() -> None:
    need = fit(CModel(int8_cell("gru", "w8a8", K=6, H=64), "model"), "uno")
    assert need.flash_bytes < BOARDS["uno"].flash_bytes
    assert need.ram_bytes < 1600


def test_export_and_verify_on_the_command_line(needs_tool: Callable[[str], str], tmp_path: Path) -> None:
    needs_tool("gcc")
    save(int8_cell("gru", "w8a16"), tmp_path / "gesture.safetensors")
    run = CliRunner().invoke
    arguments = [str(tmp_path / "gesture.safetensors"), "--target", "arduino", "-o", str(tmp_path / "lib"), "--json"]
    done = run(command_line, ["export", *arguments, "--board", "uno"])
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["board"].startswith("Arduino Uno")
    assert facts["ram_bytes"] > 0
    assert str(tmp_path / "lib/src/gesture.h") in facts["files"]
    done = run(command_line, ["verify", str(tmp_path / "lib"), "--machine", "host", "--steps", "50", "--json"])
    assert done.exit_code == 0, done.output
    (report,) = json.loads(done.stdout)
    assert report["equal"]
    assert report["difference"] == ""
    header = tmp_path / "lib/src/gesture.h"
    header.write_text(
        header.read_text()
        .replace("{0, 0", "{0, 1")
        .replace("= {\n    0, ", "= {\n    1, ")
        .replace("16384, 16640", "16384, 16000")
    )
    done = run(command_line, ["verify", str(tmp_path / "lib"), "--machine", "host", "--steps", "50"])
    assert done.exit_code == 1
    assert "differs: " in done.stdout


def test_a_machine_that_is_too_small_is_left_out_or_named(needs_tool: Callable[[str], str], tmp_path: Path) -> None:
    needs_tool("avr-gcc")
    save(cell_program("gru", K=6, H=48), tmp_path / "gesture.safetensors")
    run = CliRunner().invoke
    done = run(command_line, ["export", str(tmp_path / "gesture.safetensors"), "-o", str(tmp_path / "c")])
    assert done.exit_code == 0, done.output
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgernn.cli.verify._chosen", lambda machines: ("host", "atmega328p"))
        done = run(command_line, ["verify", str(tmp_path / "c"), "--steps", "20"])
    assert done.exit_code == 0, done.output
    assert "atmega328p is left out: the model needs more memory" in done.stderr
    assert "host" in done.stdout
    asked = ["--machine", "atmega328p", "--machine", "host", "--steps", "20"]
    done = run(command_line, ["verify", str(tmp_path / "c"), *asked])
    assert done.exit_code == 1
    assert re.search(
        r"atmega328p is left out: compiling for .*: the program needs more memory than there is$", done.stderr, re.M
    )
    assert "host" in done.stdout


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda facts: facts.update(format=99), "format 99"),
        (lambda facts: facts.update(hash="0" * 64), "is not the program"),
        (lambda facts: facts.update(selftest="../../etc/passwd"), "outside of the export"),
        (lambda facts: facts.pop("name"), "is not an export"),
    ],
)
def test_a_changed_description_is_refused(
    change: Callable[[dict[str, object]], object], complaint: str, tmp_path: Path
) -> None:
    program = int8_cell("rnn", "w8a16")
    export(program, tmp_path, "c", make_golden(program), name="model")
    facts = json.loads((tmp_path / "edgernn.json").read_text())
    change(facts)
    (tmp_path / "edgernn.json").write_bytes(msgspec.json.encode(facts))
    with pytest.raises(ExportError, match=complaint):
        open_export(tmp_path)
