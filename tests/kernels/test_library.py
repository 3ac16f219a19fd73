"""The cache of compiled kernels: warm starts without Numba, damage, other users, folders that cannot be written."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from recurrent import Recurrent

from edgernn.errors import CompileCacheError
from edgernn.kernels.codegen import library
from edgernn.kernels.codegen.library import Kernel
from edgernn.runtime.runner import Runner

RunPython = Callable[..., str]
USE_ONE_KERNEL = """
import logging, sys
logging.basicConfig(stream=sys.stdout, level="INFO", format="%(message)s")
from edgernn.kernels.codegen.library import Kernel, address_of
assert address_of(Kernel("float32.elementwise", ("unary", "Abs"))) != 0
print("numba" in sys.modules)
"""


def test_a_damaged_file_is_made_again_and_a_good_one_is_used_without_numba(
    run_python: RunPython, tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    first = run_python(USE_ONE_KERNEL, EDGERNN_CACHE_DIR=str(folder))
    assert "compiling" in first
    assert first.endswith("True\n")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (path,) = folder.iterdir()
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    assert "compiling" in run_python(USE_ONE_KERNEL, EDGERNN_CACHE_DIR=str(folder))
    assert path.read_bytes() == good
    assert run_python(USE_ONE_KERNEL, EDGERNN_CACHE_DIR=str(folder)) == "False\n"


def test_a_folder_that_cannot_be_made_is_reported_and_done_without(run_python: RunPython, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = run_python(USE_ONE_KERNEL, EDGERNN_CACHE_DIR=str(tmp_path / "file" / "cache"))
    assert "kernels are compiled again in every process" in said


def test_a_folder_that_others_may_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o777)
    monkeypatch.setenv("EDGERNN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(library, "_addresses", {})
    with pytest.raises(CompileCacheError, match="another user may write"):
        Runner(Recurrent().program())


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGERNN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(library.os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(PermissionError, match="another user may write"):
        library.address_of(Kernel("float32.elementwise", ("unary", "Neg", "of another user")))


def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    monkeypatch.delenv("EDGERNN_CACHE_DIR", raising=False)
    assert library.cache_folder() == Path("/somewhere/edgernn")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert library.cache_folder() == Path.home() / ".cache" / "edgernn"


STEP_IN_FOUR_LANES = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from recurrent import Recurrent
from edgernn.kernels.codegen.target import processor
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.runner import Runner
assert processor().lanes == 4
for kind, hidden_size in (("GRU", 18), ("LSTM", 9), ("RNN", 35)):
    model = Recurrent(kind, hidden_size, input_size=5, classes=6)
    X = model.samples(200)
    print(np.abs(Runner(model.program()).run(X) - ReferenceRunner(model.program()).run(X)).max() < 1e-6)
"""


def test_registers_of_four_lanes(run_python: RunPython) -> None:
    """As on NEON and SSE: the same sources, compiled for the plainest processor of this kind."""
    said = run_python(STEP_IN_FOUR_LANES, str(Path(__file__).parents[1] / "helpers"), NUMBA_CPU_NAME="generic")
    assert said.split() == ["True"] * 3
