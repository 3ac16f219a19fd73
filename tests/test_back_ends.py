"""Every step operation runs in every back end, in modules of its family, and gives what the reference gives."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import get_args

import msgspec
import numpy as np
import pytest
from operation_examples import OPERATIONS, example, inputs_of, is_integer

from edgernn.program.operations import FloatOperation, Movement
from edgernn.program.program import Program
from edgernn.quantizer.convert import CONVERTERS
from edgernn.quantizer.quantization import quantize
from edgernn.reference import operations as references
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.lowering import operations as lowerings
from edgernn.runtime.plan import plan_of
from edgernn.runtime.runner import Runner
from firmware_export import emitters, export
from firmware_export.emulators import EMULATORS
from firmware_export.host import make_golden
from firmware_export.verify import open_export, verify

NAMES = sorted(OPERATIONS)
FAMILIES = ("elementwise", "products", "recurrent", "reductions", "selection", "movement", "time", "loops")
STEPS = 5


def run(program: Program, runner: Runner | ReferenceRunner) -> dict[str, np.ndarray]:
    columns = inputs_of(program, STEPS)
    found = runner.run(columns if len(columns) > 1 else next(iter(columns.values())))
    return found if isinstance(found, dict) else {program.outputs[0].name: found}


@pytest.mark.parametrize("name", NAMES)
def test_the_compiled_kernels_give_what_the_reference_gives(name: str) -> None:
    program = example(OPERATIONS[name])
    assert any(type(operation).__name__ == name for operation in program.operations)
    expected, found = run(program, ReferenceRunner(program)), run(program, Runner(program))
    for port, y in expected.items():
        assert y.size
        assert name == "ArgMax" or np.ptp(y), "the example tells nothing apart"
        if is_integer(OPERATIONS[name]):
            np.testing.assert_array_equal(found[port], y)
        else:
            np.testing.assert_allclose(found[port], y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_c_gives_what_the_reference_gives(name: str, tmp_path: Path) -> None:
    program = example(OPERATIONS[name])
    export(program, tmp_path / "c", "c", make_golden(program, "m"), name="m", command="edgernn export")
    report = verify(
        open_export(tmp_path / "c"), msgspec.structs.replace(EMULATORS["host"], compiler=("gcc",)), steps=STEPS
    )
    assert report.equal, report.difference


@pytest.mark.parametrize("name", sorted(operation.__name__ for operation in get_args(FloatOperation | Movement)))
def test_the_integer_form_comes_near_the_reference(name: str) -> None:
    program = example(OPERATIONS[name])
    assert OPERATIONS[name] in CONVERTERS
    samples = inputs_of(program, 200)
    integer = quantize(program, samples if len(samples) > 1 else next(iter(samples.values())))
    if OPERATIONS[name] in get_args(FloatOperation) and name not in ("ArgMax", "TopK", "Lookup"):
        assert not any(type(operation) is OPERATIONS[name] for operation in integer.operations)
    expected, found = run(program, ReferenceRunner(program)), run(program, ReferenceRunner(integer))
    for port, y in expected.items():
        assert np.abs(found[port] - y).max() <= 0.02 * max(1, np.abs(y).max())


def family(module: str) -> str:
    """The family that a module is named after."""
    return next(part for part in reversed(module.split(".")) if part in FAMILIES)


def families_of(kind: type, *modules: ModuleType) -> set[str]:
    """The families whose modules list an operation."""
    tables = {module.__name__: getattr(module, "OPERATIONS", None) or vars(module)["LOWERINGS"] for module in modules}
    return {family(name) for name, table in tables.items() if kind in table}


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"Repeat"}))
def test_its_family_has_one_name_in_all_back_ends(name: str) -> None:
    kind = OPERATIONS[name]
    own = family(kind.__module__)
    for back_end in (references, lowerings, emitters):
        assert families_of(kind, *back_end.FLOAT_FAMILIES, *back_end.INT8_FAMILIES) == {own}, back_end.__name__
    plan = plan_of(example(kind))
    kernels = {kernel for kernel, of in zip(plan.kernels, plan.operation_names, strict=True) if of == "op"}
    assert {family(kernel.module) for kernel in kernels} <= {own}
