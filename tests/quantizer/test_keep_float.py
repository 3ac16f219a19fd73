"""Operations of every kind kept in float among integers, alone and several."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from sequence_models import make_model
from unquantized_programs import PROGRAMS, sample

from edgernn.importers.onnx.importer import import_model
from edgernn.program.file import load_program, save
from edgernn.program.program import Program
from edgernn.quantizer import quantize
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.runner import Runner

node = helper.make_node
STEPS = 60


def one_of_each_kind(program: Program) -> Iterator[list[str]]:
    """Names of operations: the first of each kind and function, each third one, and all."""
    seen = set()
    for operation in program.operations:
        kind = (type(operation), getattr(operation, "function", ""))
        if kind not in seen:
            seen.add(kind)
            yield [operation.name]
    names = [operation.name for operation in program.operations]
    yield names[::3]
    yield names


def share_of_close(found: np.ndarray, expected: np.ndarray, part: float) -> float:
    return float((np.abs(found - expected) <= part * np.ptp(expected)).mean())


@pytest.mark.parametrize("name", PROGRAMS)
def test_kept_operations_follow_float_and_are_the_same_when_compiled(name: str) -> None:
    program, X = PROGRAMS[name](), sample(name)
    expected = ReferenceRunner(program).run(X[:STEPS])
    for kept in one_of_each_kind(program):
        int8 = quantize(program, X[:STEPS], keep_float=kept)
        kinds = {operation.name: type(operation) for operation in int8.operations}
        for operation in program.operations:
            assert operation.name not in kept or kinds[operation.name] is type(operation)
        reference, compiled = ReferenceRunner(int8, np.float32).run(X[:STEPS]), Runner(int8).run(X[:STEPS])
        assert share_of_close(compiled, reference, 0.02) > 0.98, kept  # the last bit of a float may turn a choice
        assert share_of_close(reference, expected, 0.03) > 0.98, kept


def test_indices_of_float_numbers_stay_indices() -> None:
    program, X = PROGRAMS["ids"](), sample("ids")
    int8 = quantize(program, X, keep_float=["best"], count_size=0.001)
    assert int8.values["best"].dtype == "int32"
    assert not int8.takes_counts  # the numbers that are compared are no counts


def test_what_pads_a_maximum_and_what_masks_has_no_range() -> None:
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        node("MaxPool", ["t"], ["m"], kernel_shape=[3], pads=[2, 0]),
        node("Transpose", ["m"], ["b"], perm=[0, 2, 1]),
        node("MatMul", ["b", "W"], ["y"]),
    ]
    W = {"W": np.eye(3, 2, dtype=np.float32)}
    program = import_model(make_model(nodes, {"x": ["batch", "time", 3]}, ["y"], W)).program
    X = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    expected = ReferenceRunner(program).run(X)
    for operation in program.operations:
        found = ReferenceRunner(quantize(program, X, keep_float=[operation.name])).run(X)
        assert np.abs(found - expected).max() < 0.03, operation.name


def test_a_program_of_both_is_saved(tmp_path: Path) -> None:
    program, X = PROGRAMS["attention"](), sample("attention")
    path = tmp_path / "mixed.safetensors"
    int8 = quantize(program, X, keep_float=[program.operations[2].name])
    save(int8, path)
    assert load_program(path).hash == int8.hash
