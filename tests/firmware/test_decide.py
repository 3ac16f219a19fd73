"""Decisions in C are those of edgernn.stream.decisions, for any scores and settings."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from firmware_programs import int8_cell
from small_programs import cell_program

from edgernn.errors import ExportError
from edgernn.program.metadata import DecisionSettings, Metadata
from edgernn.program.program import Program
from edgernn.stream.decisions import Decider
from firmware_export.generate import CModel

LABELS = ("rest", "left", "right", "turn")
SETTINGS = [
    DecisionSettings(),
    DecisionSettings(smoothing_steps=7, threshold=0.45, release=0.3, minimum_steps=2, hold_off_steps=5, nothing="rest"),
    DecisionSettings(smoothing_steps=2, threshold=0.95, release=0.95),
    DecisionSettings(smoothing_steps=300, threshold=0.26, release=0.0, nothing="turn"),
    DecisionSettings(threshold=0.3, release=0.3, minimum_steps=4, hold_off_steps=1),
]
MAIN = """
#include <stdio.h>
#define MODEL_IMPLEMENTATION
#include "model.h"
static model_state state;
int main(void) {
    %(type)s scores[4];
    unsigned long output = 0;
    model_reset(&state);
    while (fread(scores, sizeof scores, 1, stdin) == 1) {
        model_event event;
        if (model_decide(&state, scores, &event)) printf("%%lu %%u %%u\\n", output, event.label, event.score);
        output++;
    }
    return 0;
}
"""


def scores_of_all_kinds(seed: int) -> np.ndarray:
    """Scores (n, 4) that stay on one label for a while, with ties and extremes."""
    rng = np.random.default_rng(seed)
    means = np.repeat(rng.dirichlet((0.5,) * 4, 40), rng.integers(1, 30, 40), axis=0)
    scores = np.clip(means + rng.normal(0, 0.1, means.shape), 0, 1)
    scores[::17] = 0.25
    scores[5::31] = (0, 1, 0, 0)
    return scores


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("arithmetic", ["float32", "int8"])
def test_events_are_those_of_the_host(
    arithmetic: str, settings: DecisionSettings, needs_tool: Callable[[str], str], tmp_path: Path
) -> None:
    needs_tool("gcc")
    program = cell_program("rnn") if arithmetic == "float32" else int8_cell("rnn", "w8a16")
    program = program.with_metadata(Metadata(labels=LABELS, decision=settings))
    scores = scores_of_all_kinds(1).astype(np.float32)
    c_type, sent = "float", scores
    if arithmetic == "int8":
        sent = np.minimum(np.floor(scores * 32768), 32767).astype(np.int16)
        c_type, scores = "int16_t", sent / np.float32(32768)
    else:
        sent = scores.copy()
        sent[3, 1] = scores[3, 1] = np.nan
    (tmp_path / "model.h").write_text(CModel(program, "model").text)
    (tmp_path / "main.c").write_text(MAIN % {"type": c_type})
    subprocess.run(["gcc", "-fsanitize=address,undefined", "main.c", "-o", "main"], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "main"], input=sent.tobytes(), capture_output=True, check=True)
    events = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    expected = Decider(settings, LABELS).feed(scores)
    assert len(expected) > 2
    assert [(output, label) for output, label, _ in events] == [(event.output, event.label) for event in expected]
    for (_, _, score), event in zip(events, expected, strict=True):
        assert score == int(event.score * 32768)


def test_scores_that_are_no_probabilities_are_not_decided() -> None:
    program = cell_program("rnn")
    operations = program.operations[:-1]
    description = type(program.description)(
        **{name: getattr(program.description, name) for name in program.description.__struct_fields__}
        | {
            "operations": operations,
            "outputs": (type(program.description.outputs[0])("y", "logits", per_frame=True),),
            "metadata": Metadata(labels=LABELS),
        }
    )
    assert CModel(program.with_metadata(Metadata(labels=LABELS)), "model").decides
    assert not CModel(Program(description, program.weights), "model").decides


def test_smoothing_beyond_the_sums_is_refused() -> None:
    decision = DecisionSettings(smoothing_steps=65536)
    program = cell_program("rnn").with_metadata(Metadata(labels=LABELS, decision=decision))
    with pytest.raises(ExportError, match="at most 65535"):
        _ = CModel(program, "model").text
