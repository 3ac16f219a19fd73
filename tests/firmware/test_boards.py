"""Exports on boards behind a serial port: a Uno with the real Arduino core in simavr, a Cortex-M4 in QEMU."""

from __future__ import annotations

import binascii
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cobs.cobs
import numpy as np
import pytest
import serial
from firmware_programs import int8_cell
from firmware_step_programs import PROGRAMS as STEP_PROGRAMS
from small_programs import cell_program

import edgernn
from edgernn.errors import ExportError, SourceError
from edgernn.importers import load
from edgernn.program.program import Program
from edgernn.quantizer import quantize
from edgernn.reference.runner import ReferenceRunner
from edgernn.stream.decisions import Decider
from firmware_export import export
from firmware_export.board_port import verify_port
from firmware_export.emulators import EMULATORS, build, simavr_runner
from firmware_export.emulators.emulator import HERE
from firmware_export.generate import CModel
from firmware_export.host import make_golden

CORE = Path("/usr/share/arduino/hardware/arduino/avr")
DATA = Path(edgernn.__file__).parent / "data"
COUNT_SIZE = 2.0**-10  # of the numbers in the shipped recording
SAMPLE_PERIOD_S = 0.033  # a step takes 15 ms on the Uno


@pytest.fixture(scope="module")
def arduino_core(needs_tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Arduino core, compiled for a Uno."""
    needs_tool("avr-gcc")
    if not CORE.exists():
        needs_tool("arduino-core-avr")  # a package without a program: skipped, or a failure where CI=true
    objects = tmp_path_factory.mktemp("core")
    for source in [*sorted((CORE / "cores/arduino").glob("*.c*")), CORE / "cores/arduino/wiring_pulse.S"]:
        avr_compile(source, objects / f"{source.name}.o", [])
    subprocess.run(["avr-ar", "rcs", objects / "core.a", *sorted(objects.glob("*.o"))], check=True)
    return objects / "core.a"


def avr_compile(source: Path, output: Path, include: list[Path], warnings: bool = False) -> None:
    flags = [
        "-Os",
        "-mmcu=atmega328p",
        "-DF_CPU=16000000L",
        "-DARDUINO=10819",
        "-DARDUINO_AVR_UNO",
        "-DARDUINO_ARCH_AVR",
    ]
    flags += ["-ffunction-sections", "-fdata-sections", "-DDECIMAL_DIG=__DECIMAL_DIG__"]
    flags += ["-Wall", "-Wextra", "-Werror"] if warnings else ["-w"]
    flags += [f"-I{path}" for path in (CORE / "cores/arduino", CORE / "variants/standard", *include)]
    cpp = source.suffix in {".cpp", ".ino"}
    compiler = ["avr-g++", "-std=gnu++11", "-fno-exceptions", "-fno-threadsafe-statics"] if cpp else ["avr-gcc"]
    language = ["-include", "Arduino.h", "-x", "c++"] if source.suffix == ".ino" else []
    subprocess.run([*compiler, *flags, *language, "-c", str(source), "-o", str(output)], check=True)


def sketch(library: Path, name: str, core: Path, folder: Path) -> Path:
    """One of an Arduino library's examples as a program for the Uno."""
    include = [library / "src"]
    avr_compile(library / f"examples/{name}/{name}.ino", folder / "sketch.o", include, warnings=True)
    objects = [folder / "sketch.o"]
    for source in (library / "src").glob("*.c"):
        objects.append(folder / f"{source.name}.o")
        avr_compile(source, objects[-1], include, warnings=True)
    program = folder / f"{name}.elf"
    subprocess.run(
        ["avr-gcc", "-Os", "-mmcu=atmega328p", "-Wl,--gc-sections", *objects, core, "-lm", "-o", program], check=True
    )
    return program


@contextmanager
def running(command: list[str], pattern: str) -> Iterator[str]:
    """A board in an emulator; the path of its serial port, which it prints."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if found := re.search(pattern, line):
                    yield found[1]
                    break
            else:
                pytest.fail("the emulator ended without a serial port")
        finally:
            process.kill()


@contextmanager
def uno(program: Path, folder: Path) -> Iterator[str]:
    runner = simavr_runner(folder)
    with running([str(runner), "atmega328p", "16000000", str(program), "--pty"], r"^(/dev/\S+)") as port:
        yield port


def test_arduino_events_are_those_of_the_host(
    arduino_core: Path, needs_tool: Callable[[str], str], tmp_path: Path
) -> None:
    """The shipped model, quantized, recognizes pieces of the shipped recording on a Uno."""
    needs_tool("gcc")
    with np.load(DATA / "demo_recording.npz") as recording:
        samples, begins = recording["samples"], recording["interval_start"][[0, 2]]
        exercises = [str(recording["label_names"][index]) for index in recording["interval_label"][[0, 2]]]
    program = quantize(load(DATA / "demo_model.onnx"), samples, operands="w8a8", count_size=COUNT_SIZE)
    export(program, tmp_path / "lib", "arduino", make_golden(program, "exercise"), name="exercise")
    counts = np.concatenate([samples[begin + 300 : begin + 460] for begin in begins]) / COUNT_SIZE
    labels, reference, expected = program.metadata.labels, ReferenceRunner(program), []
    decider = Decider(program.metadata.decision, labels)
    for sample in counts.astype(np.int64):
        scores = np.asarray(reference.step_raw(sample), np.float64)[None] / 32768
        expected += [f"{labels[event.label]} {event.score:.2f}" for event in decider.feed(scores)]
    assert [event.split()[0] for event in expected] == exercises
    firmware = sketch(tmp_path / "lib", "events", arduino_core, tmp_path)
    with uno(firmware, tmp_path) as location, serial.Serial(location, timeout=10) as port:
        assert port.readline() == b"ready\r\n"
        pace = threading.Event()
        for sample in counts.astype(np.int64):  # at a rate, as a sensor sends
            port.write(f"{','.join(map(str, sample))}\n".encode())
            pace.wait(SAMPLE_PERIOD_S)
        printed = [port.readline().decode().strip() for _ in expected]
    assert [line.split()[0] for line in printed] == exercises
    for line, own in zip(printed, expected, strict=True):
        assert float(line.split()[1]) == pytest.approx(float(own.split()[1]), abs=0.011)


def test_a_uno_answers_as_the_host(arduino_core: Path, needs_tool: Callable[[str], str], tmp_path: Path) -> None:
    needs_tool("gcc")
    program = int8_cell("lstm", "w8a8")
    export(program, tmp_path / "lib", "arduino", make_golden(program, "gesture"), name="gesture")
    firmware = sketch(tmp_path / "lib", "answer", arduino_core, tmp_path)
    with uno(firmware, tmp_path) as location:
        report = verify_port(CModel(program, "gesture"), location, steps=60)
    assert report.equal, report.difference
    assert report.steps == 60
    assert 500 < report.median_us < 20_000


def mps2(program: Program, folder: Path) -> list[str]:
    """A Cortex-M4 in QEMU that runs the answerer of an export; the command that starts it."""
    export(program, folder / "c", "c", make_golden(program, "gesture"), name="gesture")
    emulator = EMULATORS["cortex-m4"]
    flags = ['-DANSWER_HEADER="gesture_answer.h"', "-DMODEL=gesture"]
    sources = [folder / "c/implementation.c", HERE / "mps2_answer.c"]
    build(emulator, sources, folder / "answer", include=[folder / "c"], flags=flags)
    command = "qemu-system-arm -M mps2-an386 -display none -monitor none -serial pty -kernel"
    return [*command.split(), str(folder / "answer")]


@pytest.mark.parametrize("kind", ["int8", "float", "window", "strided", "ids"])
def test_a_cortex_m_answers_as_the_host(kind: str, needs_tool: Callable[[str], str], tmp_path: Path) -> None:
    for tool in EMULATORS["cortex-m4"].tools:
        needs_tool(tool)
    program = {
        "int8": int8_cell("gru", "w8a16"),
        "float": cell_program("gru"),
        "window": int8_cell("gru", "w8a16").with_window(6, 4),
        "strided": STEP_PROGRAMS["strided"],
        "ids": STEP_PROGRAMS["ids"],
    }[kind]
    with running(mps2(program, tmp_path), r"redirected to (/dev/\S+)") as location:
        report = verify_port(CModel(program, "gesture"), location, steps=100)
        assert report.equal, report.difference
        if kind == "int8":  # another model on the host than on the board
            other = verify_port(CModel(int8_cell("gru", "w8a16", seed=5), "gesture"), location, steps=100)
            assert not other.equal
            assert "on the host" in other.difference


def test_a_port_that_is_not_there_is_named() -> None:
    with pytest.raises(SourceError, match="ttyNOTHING"):
        verify_port(CModel(int8_cell("gru", "w8a16"), "gesture"), "/dev/ttyNOTHING", steps=1)


def test_a_board_that_is_silent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from firmware_export import board_port

    monkeypatch.setattr(board_port, "ANSWER_S", 0.01)
    board, port = os.openpty()
    try:
        with pytest.raises(ExportError, match="does not answer"):
            verify_port(CModel(int8_cell("gru", "w8a16"), "gesture"), os.ttyname(port), steps=1)
    finally:
        os.close(board)
        os.close(port)


LINK = """
#include <stdio.h>
#include "edgernn_link.h"
int main(void) {
    static edgernn_link_receiver receiver;
    static uint8_t packet[EDGERNN_LINK_BYTES(EDGERNN_LINK_MOST_VALUES)];
    int byte;
    while ((byte = getchar()) != EOF) {
        if (!edgernn_link_receive(&receiver, (uint8_t)byte)) continue;
        const uint16_t size = edgernn_link_encode(packet, receiver.kind, receiver.sequence, receiver.time_us + 1u,
                                                  edgernn_link_values(&receiver), receiver.value_bytes);
        fwrite(packet, 1, size, stdout);
    }
    return 0;
}
"""


def test_the_link_header_against_the_cobs_package(needs_tool: Callable[[str], str], tmp_path: Path) -> None:
    """Packets of all sizes, with zeros and without, go through; damaged ones cost themselves alone."""
    needs_tool("gcc")
    (tmp_path / "link.c").write_text(LINK)
    flags = [
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Wconversion",
        "-Wsign-conversion",
        "-Werror",
        "-fsanitize=address,undefined",
    ]
    templates = HERE.parent / "templates"
    subprocess.run(["gcc", *flags, f"-I{templates}", "link.c", "-o", "link"], cwd=tmp_path, check=True)
    rng = np.random.default_rng(0)
    stream, expected = bytearray(), []
    for sequence in range(400):
        size = sequence % 241
        values = (
            bytes(size)
            if sequence % 3 == 0
            else rng.integers(0, 256 if sequence % 3 == 1 else 2, size, np.uint8).tobytes()
        )
        body = bytes([1]) + sequence.to_bytes(2, "little") + (sequence * 977).to_bytes(4, "little") + values
        packet = bytearray(cobs.cobs.encode(body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "little")) + b"\0")
        if sequence % 7 == 5:
            packet[rng.integers(len(packet) - 1)] ^= 0x55
        elif sequence % 7 == 6:
            packet[1:2] = rng.integers(1, 256, 300, np.uint8).tobytes()
        else:
            expected.append((sequence, sequence * 977 + 1, values))
        stream += packet
    done = subprocess.run([tmp_path / "link"], input=bytes(stream), capture_output=True, check=True)
    answers = []
    for frame in done.stdout.split(b"\0")[:-1]:
        packet = cobs.cobs.decode(frame)
        assert binascii.crc_hqx(packet[:-2], 0xFFFF) == int.from_bytes(packet[-2:], "little")
        answers.append((int.from_bytes(packet[1:3], "little"), int.from_bytes(packet[3:7], "little"), packet[7:-2]))
    assert [answer for answer in answers if answer in expected] == expected
    assert len(answers) - len(expected) <= 1  # a flipped bit may hit a byte of stuffing that does not matter
