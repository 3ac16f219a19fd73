"""Random recurrences in plain operators against onnxruntime: step graphs with states, bodies of Scan and Loop."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from random_cells import FORMS, RandomCell
from sequence_models import run_original
from streaming_oracle import largest_difference

import edgernn
from edgernn.importers.onnx.importer import import_model
from edgernn.reference.runner import ReferenceRunner

TOLERANCE = 1e-5
STEPS, WINDOW = 20, 7


def run_steps(cell: RandomCell, runner: type) -> float:
    """The largest difference of a step graph that is looped over, its states fed back."""
    imported = import_model(cell.model)
    assert imported.pairs == cell.pairs
    stream = runner(imported.program)
    states = {name: cell.initial[name].astype(np.float32) for name in cell.pairs}
    for slot in imported.program.state:
        stream.state[slot.name][...] = states[slot.name].reshape(slot.shape)
    worst = 0.0
    for x in cell.sequence(STEPS):
        expected = run_original(cell.model, {cell.x.name: x[np.newaxis], **states})
        states = {name: expected[output] for name, output in cell.pairs.items()}
        y = stream.step(x)
        pairs = [(y, expected[cell.y.name]), *((stream.state[name][...], state) for name, state in states.items())]
        worst = max(worst, *(float(np.abs(np.ravel(got) - want.ravel()).max()) for got, want in pairs))
    return worst


def run(seed: int) -> str:
    """Stream the cell of a seed and compare; returns the mode."""
    cell = RandomCell(seed)
    if cell.form == "step":
        worst = max(run_steps(cell, runner) for runner in (ReferenceRunner, edgernn.Runner))
        assert worst < TOLERANCE, f"differs by {worst}"
        return "continuous"
    if cell.form == "scan from the end":
        with pytest.raises(edgernn.UnsupportedModelError, match="run it on sliding windows"):
            import_model(cell.model)
    imported = import_model(cell.model, window=WINDOW, hop=2)
    sequences = {"x": cell.sequence(STEPS)}
    for runner in (ReferenceRunner, edgernn.Runner):
        difference = largest_difference(cell.model, imported, sequences, runner)
        assert difference < TOLERANCE, f"{runner.__name__} differs by {difference}"
    return imported.program.mode


@pytest.mark.parametrize("cells", [200, pytest.param(8_000, marks=[pytest.mark.soak, pytest.mark.timeout(0)])])
def test_random_cell_streams_as_the_whole_sequence(cells: int) -> None:
    modes: Counter[str] = Counter()
    failures = []
    for seed in range(cells):
        try:
            modes[f"{FORMS[seed % len(FORMS)]}, {run(seed)}"] += 1
        except Exception as error:  # all failing seeds are told at the end
            failures.append(f"RandomCell({seed}): {type(error).__name__}: {error}")
    assert not failures, f"{len(failures)} of {cells} cells fail:\n" + "\n".join(failures[:10])
    assert set(modes) == {"step, continuous", "scan, continuous", "loop, continuous", "scan from the end, windowed"}
    assert min(modes.values()) >= 20
