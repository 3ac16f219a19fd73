"""Random sequence graphs against onnxruntime on the whole sequence, in each mode's sense."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from random_sequence_graphs import RandomGraph
from streaming_oracle import largest_difference

import edgernn
from edgernn.importers.onnx.importer import import_model
from edgernn.importers.onnx.translation import ImportedModel
from edgernn.reference.runner import ReferenceRunner

TOLERANCE = 1e-5
MIN_COUNT = 20  # of each operator and mode
TRUE_REASONS: dict[str, str] = {}  # why a graph is refused although it could be followed: a pattern and what it means
MAX_REFUSED = 0.02


def import_as_meant(graph: RandomGraph, window: int | None, hop: int = 1) -> ImportedModel:
    """Import a graph; where a frozen file leaves open which axis is time, say it."""
    axis = 2 if graph.is_time_last else 1
    try:
        imported = import_model(graph.model, window=window, hop=hop)
        if all(imported.layouts[x.name].time_axis == axis for x in graph.inputs):
            return imported
    except edgernn.ModelError:
        if graph.frozen_steps is None:
            raise
    return import_model(graph.model, window=window, hop=hop, time_axis=axis)


def stream(seed: int, layers: int | None = None) -> tuple[RandomGraph, str]:
    """Stream the graph of a seed and compare; returns how it ran.

    Raises
    ------
    AssertionError
        It ran otherwise than onnxruntime, or was refused without a true reason.
    """
    graph = RandomGraph(seed, layers)
    rng = np.random.default_rng(seed)
    window = graph.frozen_steps or graph.least_steps + int(rng.integers(0, 8))
    hop = int(rng.integers(1, window + 3))
    if graph.needs_window and graph.frozen_steps is None:
        with pytest.raises(edgernn.UnsupportedModelError, match="run it on sliding windows"):
            import_model(graph.model)
    try:
        imported = import_as_meant(graph, window, hop)
    except edgernn.UnsupportedModelError as error:
        reasons = [reason for reason in TRUE_REASONS if re.search(reason, str(error))]
        if not reasons:
            raise
        return graph, f"refused: {reasons[0]}"
    mode = imported.program.mode
    assert (mode == "windowed") == bool(graph.needs_window), f"{mode}: {imported.program.description.mode_reason}"
    if mode == "windowed":
        mode = "recomputed"
    elif rng.random() < 0.3:
        imported = replace(imported, program=imported.program.with_window(window, hop))
        mode = "staggered"
    elif imported.program.runs_tail_in_each_step and rng.random() < 0.4:
        imported = replace(imported, program=imported.program.with_tail("flush"))
        mode = "delayed, its tail flushed"
    steps = max(graph.least_steps + 10, 22) if imported.program.window is None else window + 2 * hop + 3
    for runner in (ReferenceRunner, edgernn.Runner):
        difference = largest_difference(
            graph.free_model, imported, graph.sequences(steps), runner, least_steps=graph.least_steps
        )
        assert difference < TOLERANCE, f"{runner.__name__} differs by {difference}, {mode}"
    return graph, mode


def shrunk(seed: int) -> str:
    """The smallest beginning of a graph that fails, and how."""
    for layers in (*range(RandomGraph(seed).layers + 1), None):
        try:
            stream(seed, layers)
        except Exception as error:  # whatever it is, it is the failure
            return f"RandomGraph({seed}, {layers}): {type(error).__name__}: {error}"
    return f"RandomGraph({seed}) fails, but not alone"


@pytest.mark.parametrize("graphs", [500, pytest.param(20_000, marks=[pytest.mark.soak, pytest.mark.timeout(0)])])
def test_random_graph_streams_as_the_whole_sequence(graphs: int) -> None:
    operators: Counter[str] = Counter()
    modes: Counter[str] = Counter()
    failures: list[str] = []
    for seed in range(graphs):
        try:
            graph, mode = stream(seed)
        except Exception:  # all failing seeds are told at the end
            failures.append(shrunk(seed))
            continue
        operators.update(graph.operators)
        modes[mode] += 1
    assert not failures, f"{len(failures)} of {graphs} graphs fail:\n" + "\n".join(failures[:10])
    refused = sum(count for mode, count in modes.items() if mode.startswith("refused"))
    assert refused <= MAX_REFUSED * graphs, modes
    assert {"continuous", "delayed", "delayed, its tail flushed", "staggered", "recomputed"} <= set(modes)
    rare = {name: count for name, count in (operators | modes).items() if count < MIN_COUNT and "refused" not in name}
    assert not rare, f"too few of {rare}"
