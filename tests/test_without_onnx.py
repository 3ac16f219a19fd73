"""A converted model runs where onnx is not installed; tools/test_wheel does the same in an environment of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from firmware_step_programs import INTEGER_PROGRAMS, PROGRAMS

import edgernn
from edgernn.demo import MODEL

NO_ONNX = """
    import sys

    class NoOnnx:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in ("onnx", "onnxruntime"):
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    sys.meta_path.insert(0, NoOnnx())
"""


def test_a_converted_model_gives_the_same_without_onnx(tmp_path: Path, run_python: Callable[..., str]) -> None:
    samples = np.random.default_rng(0).standard_normal((100, 6)).astype(np.float32)  # (T, channels)
    np.save(tmp_path / "samples.npy", samples)
    program = edgernn.load(MODEL)
    edgernn.save(program, tmp_path / "demo.safetensors")
    code = """
    import numpy, edgernn
    runner = edgernn.Runner(edgernn.load("demo.safetensors"))
    numpy.save("scores.npy", runner.run(numpy.load("samples.npy")))
    """
    run_python(NO_ONNX + code)
    np.testing.assert_array_equal(np.load(tmp_path / "scores.npy"), edgernn.Runner(program).run(samples))


def test_programs_of_all_step_operations_give_the_same_without_onnx(
    tmp_path: Path, run_python: Callable[..., str]
) -> None:
    """Rings, schedules, tails, loops, ids, sums over time, and integers."""
    programs = {**PROGRAMS, **INTEGER_PROGRAMS}
    expected = {}
    for name, program in programs.items():
        edgernn.save(program, tmp_path / f"{name}.safetensors")
        runner = edgernn.Runner(program)
        for x in random_inputs(program):
            runner.step(x)
        expected[name] = hashlib.sha256(runner.snapshot()).hexdigest()
    code = """
    import hashlib, numpy, pathlib, edgernn
    for path in sorted(pathlib.Path().glob("*.safetensors")):
        program = edgernn.load(path)
        rng, runner = numpy.random.default_rng(0), edgernn.Runner(program)
        for _ in range(20):
            runner.step({port.name: rng.integers(0, 2, port.shape).astype(port.dtype) for port in program.inputs})
        print(path.stem, hashlib.sha256(runner.snapshot()).hexdigest())
    """
    assert dict(line.split() for line in run_python(NO_ONNX + code).splitlines()) == expected


def random_inputs(program: edgernn.Program) -> Iterator[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    for _ in range(20):
        yield {port.name: rng.integers(0, 2, port.shape).astype(port.dtype) for port in program.inputs}


def test_an_onnx_file_without_onnx_says_what_to_install(run_python: Callable[..., str]) -> None:
    code = """
    import edgernn
    try:
        edgernn.load(sys.argv[1])
    except edgernn.MissingPackageError as error:
        print(error)
    """
    assert "pip install" in run_python(NO_ONNX + code, str(MODEL))
