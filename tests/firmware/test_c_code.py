"""The C text: no compiler and no checker has anything to say, whatever the model is called."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from firmware_float_programs import PROGRAMS as FLOAT_PROGRAMS
from firmware_programs import INT8_PROGRAMS, int8_cell, with_decisions
from firmware_step_programs import INTEGER_PROGRAMS
from firmware_step_programs import PROGRAMS as STEP_PROGRAMS
from hypothesis import given, settings
from hypothesis import strategies as st
from int8_feature_programs import PROGRAMS as INT8_FEATURES
from programs import Programs
from small_programs import cell_program

from edgernn.errors import ExportError
from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription, StateSlot
from edgernn.program.encoding import decode, encode
from edgernn.program.metadata import Metadata
from edgernn.program.operations import Binary, Dense, PutFrame, Rearrange, Repeat, Schedule, Softmax, TakeFrame
from edgernn.program.program import Program
from firmware_export import export
from firmware_export.generate import CModel
from firmware_export.host import make_golden
from firmware_export.names import identifier
from firmware_export.schedules import StepCounter
from firmware_export.step import LOCALS, MEMBERS

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wdouble-promotion"]
STRICT = [*WARNINGS, "-Werror", "-ffp-contract=off"]
PROGRAMS = Programs(
    {
        "gru": lambda: with_decisions(INT8_PROGRAMS["gru-w8a8"]),
        "gru_first": INT8_PROGRAMS.maker("wild-gru_reset_first-wide"),
        "gru_wide": INT8_PROGRAMS.maker("gru-wide"),
        "lstm": INT8_PROGRAMS.maker("wild-lstm_peephole-wide"),
        "lstm_window": INT8_PROGRAMS.maker("wild-window"),
        "rnn": INT8_PROGRAMS.maker("rnn_relu-w8a16"),
        "feedforward": INT8_PROGRAMS.maker("feedforward-w8a8"),
        "float_gru": lambda: with_decisions(FLOAT_PROGRAMS["gru"]),
        **{f"float_{name}": FLOAT_PROGRAMS.maker(name) for name in ("unary", "binary", "clipped", "window")},
        **STEP_PROGRAMS.with_prefix("step_"),
        **INTEGER_PROGRAMS.with_prefix("ring_"),
        **INT8_FEATURES.with_prefix("int8_"),
    }
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All programs as exports of the target ``c``, each in a folder of its own."""
    root = tmp_path_factory.mktemp("exports")
    for name, program in PROGRAMS.items():
        export(program, root / name, "c", make_golden(program, name), name=name)
    return root


@pytest.fixture(scope="module")
def every_model(folder: Path) -> Path:
    """One C file with all programs, which has each piece of the runtime once."""
    source = folder / "every_model.c"
    prefixes = {name: identifier(name) for name in PROGRAMS}
    lines = [
        f'#define {prefix.upper()}_IMPLEMENTATION\n#include "{folder / name / prefix}.h"\n'
        for name, prefix in prefixes.items()
    ]
    source.write_text("".join(lines))
    return source


def compile_c(command: list[str], source: Path) -> None:
    done = subprocess.run([*command, "-c", "-o", "/dev/null", str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["gcc", "-std=c99", "-O2"],
        ["gcc", "-std=c99", "-O2", "-fanalyzer"],
        ["g++", "-std=c++17", "-O2", "-x", "c++"],
        ["clang", "-std=c99", "-O2"],
        ["clang++", "-std=c++17", "-O2", "-x", "c++"],
        ["arm-none-eabi-gcc", "-std=c99", "-O0", "-mcpu=cortex-m4", "-mthumb", "-ffreestanding"],
        [
            "arm-none-eabi-gcc",
            "-std=c99",
            "-Os",
            "-fno-omit-frame-pointer",
            "-mcpu=cortex-m33",
            "-mthumb",
            "-ffreestanding",
        ],
        ["arm-none-eabi-gcc", "-std=c99", "-O0", "-mcpu=cortex-m55", "-mfloat-abi=hard", "-mthumb", "-ffreestanding"],
        ["clang", "--target=thumbv8.1m.main-none-eabihf", "-mcpu=cortex-m55", "-std=c99", "-Os", "-ffreestanding"],
        ["clang", "--target=thumbv7em-none-eabihf", "-mcpu=cortex-m4", "-std=c99", "-O2", "-ffreestanding"],
        ["avr-gcc", "-std=c99", "-Os", "-mmcu=atmega2560"],
        ["arm-none-eabi-gcc", "-std=c99", "-O0", "-mcpu=cortex-m0", "-mthumb", "-ffreestanding"],
        ["clang", "--target=thumbv6m-none-eabi", "-std=c99", "-Os", "-ffreestanding"],
    ],
    ids=" ".join,
)
def test_compilers_are_silent(command: list[str], every_model: Path, needs_tool: Callable[[str], str]) -> None:
    needs_tool(command[0])
    compile_c([*command, *STRICT], every_model)


def test_the_self_test_and_the_examples_compile_and_run(folder: Path, needs_tool: Callable[[str], str]) -> None:
    needs_tool("make")
    for name in PROGRAMS:
        command = ["make", "-s", "-C", str(folder / name), "all", "check"]
        environment = os.environ | {"CFLAGS": "-O0"}  # other tests optimise
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        assert "steps equal" in done.stdout


def test_cppcheck_is_silent(folder: Path, needs_tool: Callable[[str], str]) -> None:
    command = ["cppcheck", "--enable=warning,performance,portability", "--std=c99", "--error-exitcode=1", "--quiet"]
    sources = [str(folder / name / "implementation.c") for name in PROGRAMS]
    needs_tool("cppcheck")
    done = subprocess.run([*command, *sources], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_several_models_share_one_c_file(folder: Path, needs_tool: Callable[[str], str], tmp_path: Path) -> None:
    needs_tool("gcc")
    names = ("gru", "lstm", "rnn", "float_gru", "float_unary")
    lines = [f'#define {name.upper()}_IMPLEMENTATION\n#include "{folder / name / name}.h"' for name in names]
    source = tmp_path / "all.c"
    source.write_text("\n".join([*lines, *lines]) + "\n")  # including one twice does no harm
    compile_c(["gcc", "-std=c99", *STRICT], source)


def test_models_of_different_versions_refuse_to_share(
    folder: Path, needs_tool: Callable[[str], str], tmp_path: Path
) -> None:
    needs_tool("gcc")
    source = tmp_path / "all.c"
    source.write_text(f'#define EDGERNN_RUNTIME 0x1234\n#define GRU_IMPLEMENTATION\n#include "{folder}/gru/gru.h"\n')
    done = subprocess.run(["gcc", "-fsyntax-only", str(source)], capture_output=True, text=True, check=False)
    assert "need a C file each" in done.stderr


def named_program(model_input: str, output: str, state: str, operation: str, labels: tuple[str, ...]) -> Program:
    """A program with every kind of name in it, and few numbers."""
    weights = {"W": np.eye(2, dtype=np.float32), "order": np.array([1, 0], np.int32)}
    slow = Schedule(first=1, period=2)
    description = ProgramDescription(
        inputs=(InputDescription(model_input, (2,)),),
        outputs=(OutputDescription(output, "y", per_frame=True, when=slow),),
        state=(StateSlot(state, (1,)),),
        operations=(
            Dense(name=operation, inputs=(model_input,), outputs=("d",), W="W"),
            Rearrange(name=operation + "2", inputs=("d",), outputs=("r",), shape=(2,), indices="order"),
            Binary(name=operation + "3", inputs=("d", "r"), outputs=("p",), function="Mul"),
            Repeat(
                name=operation + "4",
                inputs=(),
                outputs=(),
                count=2,
                when=slow,
                body=(
                    TakeFrame(name=operation + "5", inputs=("p",), outputs=("f",), loop=operation + "4", when=slow),
                    PutFrame(
                        name=operation + "6", inputs=("f",), outputs=("g",), loop=operation + "4", count=2, when=slow
                    ),
                ),
            ),
            Rearrange(name=operation + "7", inputs=("g",), outputs=("s",), shape=(2,), when=slow),
            Softmax(name=operation + "8", inputs=("s",), outputs=("y",), when=slow),
        ),
        metadata=Metadata(labels=labels),
    )
    return Program(description, weights)


nasty = st.text(alphabet=st.sampled_from("ab*/\\?\"'\n\r\0%$#{}()=;:é\u202e\ud7ff"), min_size=1, max_size=12)
WORDS = st.sampled_from(
    [
        "a",
        "b",
        "i0",
        "row",
        "step",
        "ended",
        "on_0",
        "round_0",
        "int",
        "state",
        "scratch",
        "main",
        "NULL",
        "k",
        "*/",
        "/*",
        "??/",
        '"',
        "%s",
        "$x",
        "{name}",
    ]
)


@settings(max_examples=25)
@given(
    nasty | WORDS,
    nasty | WORDS,
    nasty | WORDS,
    nasty | WORDS,
    nasty | WORDS,
    st.lists(nasty, min_size=2, max_size=2, unique=True),
)
def test_any_name_gives_valid_c(
    needs_tool: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    model_input: str,
    output: str,
    state: str,
    operation: str,
    labels: list[str],
) -> None:
    needs_tool("gcc")
    program = named_program(model_input, output, state, operation, tuple(labels))
    directory = tmp_path_factory.mktemp("named")
    export(program, directory, "c", make_golden(program, name), name=name, command=f"edgernn export {name}")
    done = subprocess.run(
        ["gcc", "-std=c99", *STRICT, "selftest.c", "-o", "selftest"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert subprocess.run([directory / "selftest"], check=False, capture_output=True).returncode == 0
    model = CModel(program, name)
    texts = "\n".join(f"puts({model.prefix}_label({index}));" for index in range(2))
    (directory / "labels.c").write_text(
        f'#include <stdio.h>\n#define {model.prefix.upper()}_IMPLEMENTATION\n#include "{model.file}"\n'
        f"int main(void) {{ {texts} }}\n"
    )
    subprocess.run(["gcc", "labels.c", "-o", "labels"], cwd=directory, check=True)
    printed = subprocess.run([directory / "labels"], check=True, capture_output=True).stdout
    expected = b"".join(label.split("\0")[0].encode("utf-8", errors="replace") + b"\n" for label in labels)
    assert printed == expected


TAKEN = (*LOCALS, *MEMBERS, "size_t", "uint32_t", "edgernn_rows", "edgernn_gru_int8", "frames_of_y", "model_body")


def test_the_list_of_names_that_the_code_uses_is_whole() -> None:
    """What functions that see a model's inputs declare themselves."""
    number = r"(?:const )?(?:u?int\d+_t|int|float|double|edgernn_\w+) \**"
    for programs in (INT8_PROGRAMS, FLOAT_PROGRAMS, STEP_PROGRAMS, INT8_FEATURES):
        for program in programs.values():
            text = CModel(program, "model").text.partition("_IMPLEMENTED\n")[2]
            functions = re.findall(
                r"^(?:static )?\w+ model_\w+\([^)]*\b(?:slots|state),[^)]*\) {\n.*?^}", text, re.M | re.S
            )
            assert functions
            declared = set()
            for name, rest in re.findall(rf"[ (]{number}(\w+)((?: =|\[|;)[^;]*)", "\n".join(functions)):
                declared |= {name, *re.findall(r", (\w+) =", rest)}
            declared -= {port.name for port in (*program.inputs, *program.outputs)}
            own = StepCounter(
                program
            ).flags.values()  # conditions, and the rounds of loops, have names for each program
            declared -= {*own, *(name for name in declared if re.fullmatch(r"round_\d+|frames_of_\w+", name))}
            assert declared <= set(LOCALS), declared


def renamed(program: Program, name: str) -> Program:
    """The program with its one input, its states and its weights called `name`."""
    (port,) = program.inputs
    called = {weight: f"{name}{'*' * number}" for number, weight in enumerate(program.weights)}
    replaced = {name: f"{name}!", port.name: name, **called}  # another value may be called so already

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: entry if key == "tail" else walk(entry) for key, entry in value.items()}  # "step" or "flush"
        if isinstance(value, list | tuple):
            return [walk(entry) for entry in value]
        return replaced.get(value, value)

    weights = {called[weight]: array for weight, array in program.weights.items()}
    return Program(decode(json.dumps(walk(json.loads(encode(program.description)))).encode()), weights)


def test_names_that_the_code_itself_uses_give_valid_c(needs_tool: Callable[[str], str], tmp_path: Path) -> None:
    needs_tool("gcc")
    for name in TAKEN:
        for kind in ("gru", "lstm_window", "feedforward", "float_binary", "step_delayed", "step_looped"):
            text = CModel(renamed(PROGRAMS[kind], name), "model").text
            (tmp_path / f"{kind}.c").write_text(f"#define MODEL_IMPLEMENTATION\n{text}")
        command = ["gcc", "-std=c99", "-Wall", "-Werror", "-fsyntax-only", *map(str, tmp_path.glob("*.c"))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name}: {done.stderr}"


def test_export_is_the_same_twice(tmp_path: Path) -> None:
    program = PROGRAMS["gru"]
    for name in "ab":
        export(program, tmp_path / name, "arduino", make_golden(program), name="gesture")
    for file in (tmp_path / "a").rglob("*.*"):
        if file.is_file():
            assert file.read_bytes() == (tmp_path / "b" / file.relative_to(tmp_path / "a")).read_bytes()


def test_an_int8_export_has_no_float_and_no_wide_product() -> None:
    for name in ("gru-w8a8", "lstm-w8a16", "rnn-w8a8", "window"):
        text = CModel(INT8_PROGRAMS[name], "model").text
        code = text.partition("_IMPLEMENTED\n")[2].replace("edgernn_read_float(const float *from)", "")
        code = code.replace("static inline float { return pgm_read_float(from); }", "")
        code = code.replace("static inline float { return *from; }", "")
        assert "float" not in code.replace("static inline float  { return", "").replace("pgm_read_float", "")
        assert "int64_t" not in text
        assert "malloc" not in text


def test_everything_an_export_takes_is_checked(tmp_path: Path) -> None:
    program = cell_program("gru")
    golden = make_golden(program)
    with pytest.raises(ExportError, match="no target 'fpga'"):
        export(program, tmp_path, "fpga", golden)
    with pytest.raises(ExportError, match="must hold 24 times 4 numbers"):
        export(program, tmp_path, "c", golden._replace(outputs={"y": golden.outputs["y"][1:]}))
    with pytest.raises(ExportError, match="have no x"):
        export(program, tmp_path, "c", golden._replace(inputs={"z": golden.inputs["x"]}))
    int8 = int8_cell("gru", "w8a16")
    integers = make_golden(int8)
    with pytest.raises(ExportError, match="does not hold numbers of int16"):
        export(int8, tmp_path, "c", integers._replace(outputs={"y": integers.outputs["y"] + 0.5}))
