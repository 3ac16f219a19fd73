"""The files around an export, against what each ecosystem documents, as far as it can be checked without its tools."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import kconfiglib
import pytest
import yaml
from firmware_programs import int8_cell
from programs import Programs

from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription
from edgernn.program.operations import Binary
from edgernn.program.program import Program
from firmware_export import export
from firmware_export.host import make_golden

NAMES = ("gesture", "int", "9 lives*/")
# https://arduino.github.io/arduino-cli/latest/library-specification/
ARDUINO_FIELDS = {
    *("name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures"),
    *("depends", "dot_a_linkage", "includes", "precompiled", "ldflags"),
}
ARDUINO_OPTIONAL = {"depends", "dot_a_linkage", "includes", "precompiled", "ldflags"}
ARDUINO_CATEGORIES = {
    *("Display", "Communication", "Signal Input/Output", "Sensors", "Device Control", "Timing", "Data Storage"),
    *("Data Processing", "Other"),
}
# https://docs.platformio.org/en/latest/manifests/library-json/index.html
PLATFORMIO_FIELDS = {
    *("name", "version", "description", "keywords", "homepage", "repository", "authors", "license", "frameworks"),
    *("platforms", "headers", "examples", "dependencies", "export", "scripts", "build"),
}
PLATFORMIO_BUILD = {"flags", "unflags", "includeDir", "srcDir", "srcFilter", "extraScript", "libArchive"}
# https://docs.espressif.com/projects/idf-component-manager/en/latest/reference/manifest_file.html
IDF_FIELDS = {
    *("version", "description", "url", "documentation", "repository", "repository_info", "issues", "discussion"),
    *("maintainers", "tags", "license", "targets", "dependencies", "files", "examples"),
}
# https://docs.zephyrproject.org/latest/develop/modules.html
ZEPHYR_BUILD = {"cmake", "kconfig", "cmake-ext", "kconfig-ext", "sysbuild-cmake", "sysbuild-kconfig", "depends"} | {
    "settings"
}
SEMANTIC_VERSION = r"\d+\.\d+\.\d+"


def two_inputs() -> Program:
    description = ProgramDescription(
        inputs=(InputDescription("a", (2,)), InputDescription("b", (2,))),
        outputs=(OutputDescription("y", "y", per_frame=True),),
        operations=(Binary(name="sum", inputs=("a", "b"), outputs=("y",), function="Add"),),
    )
    return Program(description, {})


PROGRAMS = Programs({name: partial(int8_cell, "gru", "w8a16") for name in NAMES} | {"two inputs": two_inputs})


@pytest.fixture(params=PROGRAMS)
def exported_for(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Path]:
    """Exports for a target, of models with good and with bad names."""
    name = request.param

    def write(target: str) -> Path:
        export(PROGRAMS[name], tmp_path / "export", target, make_golden(PROGRAMS[name], name), name=name)
        return tmp_path / "export"

    return write


def sketches_of(library: Path) -> set[str]:
    return {str(path.relative_to(library)) for path in library.rglob("*.ino")}


def test_arduino_library(exported_for: Callable[[str], Path]) -> None:
    library = exported_for("arduino")
    lines = [line for line in (library / "library.properties").read_text().splitlines() if line]
    fields = dict(line.split("=", 1) for line in lines)
    assert len(fields) == len(lines)
    assert set(fields) <= ARDUINO_FIELDS
    assert set(fields) >= ARDUINO_FIELDS - ARDUINO_OPTIONAL
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _.\-]{0,62}", fields["name"])
    assert re.fullmatch(SEMANTIC_VERSION, fields["version"])
    assert fields["category"] in ARDUINO_CATEGORIES
    assert fields["architectures"] == "*"
    assert fields["sentence"] not in fields["paragraph"]
    assert (library / "src" / fields["includes"]).is_file()
    assert not [path for path in library.iterdir() if path.suffix in {".c", ".h"}], "sources beside src/"
    for sketch in sketches_of(library):
        assert Path(sketch).stem == Path(sketch).parent.name


def test_platformio_library(exported_for: Callable[[str], Path]) -> None:
    library = exported_for("platformio")
    manifest = json.loads((library / "library.json").read_text())
    assert set(manifest) <= PLATFORMIO_FIELDS
    assert {"name", "version"} <= set(manifest)
    assert re.fullmatch(r"[^:;/,@<>\\]{1,100}", manifest["name"])
    assert re.fullmatch(SEMANTIC_VERSION, manifest["version"])
    assert len(manifest["description"]) <= 255
    assert (manifest["frameworks"], manifest["platforms"]) == ("*", "*")
    assert set(manifest["build"]) <= PLATFORMIO_BUILD
    assert (library / manifest["build"]["srcDir"] / manifest["headers"]).is_file()
    listed = {f"{example['base']}/{file}" for example in manifest["examples"] for file in example["files"]}
    assert listed == sketches_of(library)


def test_esp_idf_manifest(exported_for: Callable[[str], Path]) -> None:
    manifest = yaml.safe_load((exported_for("esp-idf") / "idf_component.yml").read_text())
    assert set(manifest) <= IDF_FIELDS
    assert re.fullmatch(SEMANTIC_VERSION, manifest["version"])
    assert manifest["license"] == "0BSD"


def test_zephyr_module(exported_for: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    module = exported_for("zephyr")
    manifest = yaml.safe_load((module / "zephyr/module.yml").read_text())
    assert set(manifest) == {"name", "build"}
    assert set(manifest["build"]) <= ZEPHYR_BUILD
    cmake_folder, kconfig = module / manifest["build"]["cmake"], module / manifest["build"]["kconfig"]
    assert (cmake_folder / "CMakeLists.txt").is_file()
    (symbol,) = kconfiglib.Kconfig(str(kconfig), warn_to_stderr=False).unique_defined_syms
    assert symbol.name.startswith("EDGERNN_")
    assert symbol.str_value == "y"
    assert f"if(CONFIG_{symbol.name})" in (cmake_folder / "CMakeLists.txt").read_text()


# what the ecosystems' own CMake functions do, as far as these files use them; words that they do not know are refused
IDF_FUNCTIONS = """
set(COMPONENT_LIB component)
function(idf_component_register)
  cmake_parse_arguments(own "" "" "SRCS;INCLUDE_DIRS" ${ARGN})
  if(own_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "unknown: ${own_UNPARSED_ARGUMENTS}")
  endif()
  add_library(component STATIC ${own_SRCS})
  target_include_directories(component PUBLIC ${own_INCLUDE_DIRS})
endfunction()
add_subdirectory(../export component)
"""
ZEPHYR_FUNCTIONS = """
add_library(everything INTERFACE)
function(zephyr_include_directories)
  foreach(directory ${ARGN})
    get_filename_component(full ${directory} ABSOLUTE BASE_DIR ${CMAKE_CURRENT_SOURCE_DIR})
    target_include_directories(everything INTERFACE ${full})
  endforeach()
endfunction()
function(zephyr_library)
  set(own_sources "" PARENT_SCOPE)
endfunction()
function(zephyr_library_sources)
  add_library(component STATIC ${ARGN})
  target_link_libraries(component PUBLIC everything)
endfunction()
function(zephyr_library_compile_options)
  target_compile_options(component PRIVATE ${ARGN})
endfunction()
file(STRINGS ../export/zephyr/Kconfig symbols REGEX "^config ")
string(REPLACE "config " "CONFIG_" symbols "${symbols}")
set(${symbols} y)
add_subdirectory(../export/zephyr component)
"""


@pytest.mark.parametrize(("target", "functions"), [("esp-idf", IDF_FUNCTIONS), ("zephyr", ZEPHYR_FUNCTIONS)])
def test_cmake_files_build_their_library(
    target: str, functions: str, exported_for: Callable[[str], Path], needs_tool: Callable[[str], str], tmp_path: Path
) -> None:
    """A project that takes the component as the ecosystem does, and calls it."""
    needs_tool("cmake")
    exported_for(target)
    project = tmp_path / "project"
    project.mkdir()
    (source,) = (tmp_path / "export/src").glob("*.c")
    model = source.stem
    (project / "main.c").write_text(
        f'#include "{model}.h"\n{model}_state state;\nint main(void) {{ {model}_reset(&state); return 0; }}\n'
    )
    lines = ["cmake_minimum_required(VERSION 3.16)", "project(firmware LANGUAGES C)", functions]
    lines += ["add_executable(firmware main.c)", "target_link_libraries(firmware component)"]
    (project / "CMakeLists.txt").write_text("\n".join(lines) + "\n")
    for command in (
        ["cmake", "-S", "project", "-B", "build", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"],
        ["cmake", "--build", "build"],
        ["build/firmware"],
    ):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    flags = (tmp_path / "build/compile_commands.json").read_text()
    assert "-ffp-contract=off" in flags
