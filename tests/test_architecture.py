"""What the parts may know of each other, and what a user may rely on. Import direction is held by `lint-imports`."""

from __future__ import annotations

import ast
import pkgutil
import re
import tomllib
from collections.abc import Callable
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import entry_points, version
from pathlib import Path

import grimp
import pytest

import edgernn

CHECKOUT = Path(__file__).parents[1]

PUBLIC_NAMES = {
    *("CompileCacheError", "ConfigError", "EdgeRNNError", "ExportError", "FormatError", "InputError"),
    *("MalformedModelError", "MissingPackageError", "ModelError", "NonFiniteInputError", "ProgramFileError"),
    *(
        "QuantizationError",
        "RecordingError",
        "Running",
        "RunnerStateError",
        "as_run",
        "SourceBusyError",
        "SourceError",
        "SourceNotFoundError",
    ),
    *("SourcePermissionError", "StatePairingError", "UnsupportedModelError", "DoesNotFitError"),
    *("DecisionSettings", "Metadata", "Port", "Program", "Runner", "StateSlot"),
    *("__version__", "export", "load", "open_stream", "quantize", "save"),
}


def imported(run_python: Callable[..., str], statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has after `statement`."""
    return set(run_python(f"{statement}\nimport sys\nprint(*sys.modules)").split())


def test_public_names_are_pinned() -> None:
    assert set(edgernn.__all__) == PUBLIC_NAMES
    for name in PUBLIC_NAMES:
        assert getattr(edgernn, name) is not None


def test_no_public_name_is_a_submodule() -> None:
    """`import edgernn.x` would replace the function `edgernn.x`."""
    submodules = {module.name for module in pkgutil.iter_modules(edgernn.__path__)}
    assert not submodules & PUBLIC_NAMES


def test_the_package_holds_packages_and_few_modules() -> None:
    assert len(list((CHECKOUT / "edgernn").glob("*.py"))) <= 6


def test_every_error_is_public() -> None:
    from edgernn import errors

    defined = {name for name, thing in vars(errors).items() if isinstance(thing, type)}
    assert defined <= PUBLIC_NAMES


def test_importing_edgernn_is_cheap(run_python: Callable[..., str]) -> None:
    assert not imported(run_python, "import edgernn") & {"numpy", "numba", "onnx", "onnxruntime", "serial", "click"}


@pytest.mark.parametrize(
    "module", ["edgernn.runtime.runner", "edgernn.runtime.plan", "edgernn.program.file", "edgernn.stream.stream"]
)
def test_running_a_program_imports_no_onnx(module: str, run_python: Callable[..., str]) -> None:
    assert not imported(run_python, f"import {module}") & {"onnx", "onnxruntime", "google.protobuf"}


@pytest.mark.parametrize("order", ["sorted", "reversed"])
def test_every_module_can_be_imported(order: str, run_python: Callable[..., str]) -> None:
    """In two orders: without circles, none works only after another was imported."""
    code = f"""
        import importlib, pkgutil
        import edgernn, firmware_export
        packages = [(package.__path__, package.__name__ + ".") for package in (edgernn, firmware_export)]
        names = {{module.name for path, prefix in packages for module in pkgutil.walk_packages(path, prefix)}}
        for name in {order}(sorted(names)):
            importlib.import_module(name)
    """
    run_python(code)


def test_modules_do_not_import_each_other_in_circles() -> None:
    """Imports inside of functions and for types count, too."""
    graph = grimp.build_graph("edgernn", "firmware_export", cache_dir=None)
    known = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(known) > 200
    try:
        TopologicalSorter(known).prepare()
    except CycleError as error:
        pytest.fail(" is imported by ".join(error.args[1]))


def test_the_installed_package_is_this_one() -> None:
    assert version("edgernn") == edgernn.__version__
    (script,) = entry_points(group="console_scripts", name="edgernn")
    assert script.value == "edgernn.__main__:main"


def test_dependencies_of_the_runtime_are_few() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[<>=]", entry)[0] for entry in project["dependencies"]}
    assert names == {"numpy", "numba", "onnx", "pyserial", "click", "msgspec", "safetensors"}


def test_a_class_name_has_one_meaning() -> None:
    """No two public classes of the packages share a name."""
    found: dict[str, list[str]] = {}
    for package in ("edgernn", "firmware_export"):
        for path in sorted((CHECKOUT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found.setdefault(node.name, []).append(path.name)
    assert {name: places for name, places in found.items() if len(places) > 1} == {}
