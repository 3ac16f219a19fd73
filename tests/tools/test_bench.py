"""The benchmark refuses to time what computes something else, and holds its figures against the targets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture(autouse=True)
def tools_on_path(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_model_file_and_reference_agree(cell):
    from benchmarks.models import Model, samples
    from benchmarks.peers import OnnxRuntime

    model, X = Model(cell, 16), samples(100)
    assert np.abs(OnnxRuntime(model).scores(X) - model.reference(X)).max() < 1e-6


@pytest.mark.parametrize(("cell", "hidden_size"), [("rnn", 32), ("gru", 16), ("lstm", 64)])
def test_c_kernels_of_every_shape_agree_with_the_reference(needs_tool, cell, hidden_size):
    needs_tool("gcc")
    from benchmarks import floor
    from benchmarks.models import Model, samples

    model, X = Model(cell, hidden_size), samples(100)
    shapes = [shape for shape in floor.SHAPES[cell] if hidden_size % (shape[0] * floor.lanes()) == 0]
    for units, unroll in shapes:
        kernel = floor.Floor(model, units, unroll)
        assert np.abs(kernel.run(X) - model.reference(X)).max() < 1e-6
    assert shapes


def test_targets_of_a_result():
    from benchmarks.models import Model
    from benchmarks.report import Results, targets
    from benchmarks.timing import Spread

    spreads = {"edgernn": Spread(500, 700, 400, 9), "LiteRT": Spread(2600, 2700, 2500, 9)}
    errors = {"gru64": {"edgernn": 1e-7}}
    results = Results({"features": "avx2"}, models=[Model("gru", 64)], errors=errors, hot={"gru64": spreads})
    held = {target.what: (target.value, target.bound, target.met) for target in targets(results)}
    assert held == {"step faster than LiteRT": (5.2, 5.0, True), "step p99 over p50": (1.4, 1.3, False)}
    assert "1 of 2 met" in results.markdown()


def test_targets_of_graphs():
    from benchmarks import graphs
    from benchmarks.report import Results, targets
    from benchmarks.timing import Spread

    names = (graphs.OWN, graphs.PEER, graphs.LOOP, graphs.WEIGHTS)
    spreads = {name: Spread(ns, ns, ns, 9) for name, ns in zip(names, (500, 40_000, 450, 300), strict=True)}
    results = Results({}, graphs={graphs.TCN: spreads, graphs.OPERATORS: {graphs.OWN: Spread(1200, 1300, 900, 9)}})
    assert [(target.value, target.bound, target.met) for target in targets(results)] == [
        (80, 60, True),
        (1.5, 1.5, True),
        (1200, 1000, False),
    ]


def test_graphs_are_measured_where_they_equal_onnxruntime(needs_tool):
    needs_tool("gcc")
    from benchmarks import graphs

    for graph in (graphs.tcn(), graphs.operators()):
        spreads = graphs.measure_graph(graph, 200)
        assert set(spreads) == {graphs.OWN, graphs.PEER, graphs.LOOP, graphs.WEIGHTS}


def test_targets_of_nets_in_integers():
    from benchmarks.report import Results, targets
    from benchmarks.timing import Spread

    spreads = {
        name: Spread(ns, ns, ns, 9) for name, ns in (("edgernn", 300), ("edgernn w8a16", 250), ("edgernn w8a8", 400))
    }
    results = Results({"features": "avx512f"}, nets={"tcn": spreads})
    assert [(target.model, target.value, target.bound, target.met) for target in targets(results)] == [
        ("tcn", 1.2, 1.0, True),
        ("tcn", 0.75, 1.0, False),
    ]
    assert "## tcn: ns a step" in results.markdown()


def test_nets_in_integers_are_measured_where_they_find_the_same_labels(monkeypatch):
    from benchmarks import int8_nets

    for name in int8_nets.NETS:
        assert set(int8_nets.measure_net(name, 50)) == {"edgernn", "edgernn w8a16", "edgernn w8a8"}
    monkeypatch.setattr(int8_nets, "MIN_AGREEMENT", 1.1)
    with pytest.raises(ValueError, match="edgernn computes something else for tcn"):
        int8_nets.measure_net("tcn", 50)


def test_paced_steps_are_held_against_the_binding():
    from benchmarks.report import Results, targets
    from benchmarks.timing import Spread

    paced = {"edgernn": Spread(1000, 1300, 900, 9), "onnxruntime IOBinding": Spread(5900, 7000, 5000, 9)}
    (target,) = targets(Results({}, paced={"gru64": paced}, operations_cost=None))
    assert (target.value, target.bound, target.met) == (5.9, 6.0, False)


def test_a_peer_that_computes_something_else_is_refused():
    import bench
    from benchmarks.models import Model
    from benchmarks.peers import Numpy
    from benchmarks.report import Results

    model = Model("gru", 16)
    peer = Numpy(model)
    spoiled, step = np.full(4, np.nan, np.float32), peer.step
    peer.step = lambda x: spoiled * step(x)
    with pytest.raises(SystemExit, match="numpy by hand computes something else for gru16"):
        bench._check(Results({}), model, {peer.name: peer}, None)


def test_command_writes_markdown_and_json(needs_tool, tmp_path):
    needs_tool("gcc")
    path = tmp_path / "figures.json"
    options = [
        "--cells",
        "lstm",
        "--sizes",
        "16",
        "--steps",
        "500",
        "--paced-steps",
        "0",
        "--peers",
        "numpy,edgernn",
        "--nets",
        "fastgrnn",
    ]
    command = [sys.executable, TOOLS / "bench.py", "--quick", *options, "--json", path]
    markdown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures = json.loads(path.read_text())
    assert figures["hot"]["lstm16"]["edgernn"]["count"] == 500
    own = {"edgernn", "edgernn, alone", "edgernn w8a16", "edgernn w8a8"}
    assert figures["hot"]["lstm16"].keys() == own | {"empty call", "numpy by hand", "C kernel, timed in C"}
    assert figures["errors"]["lstm16"]["edgernn"] < 1e-6
    promised = {target["what"] for target in figures["targets"]}
    starts = {f"process start to first {what}" for what in ("step", "event")}
    integers = {f"{name} faster than float" for name in ("edgernn w8a16", "edgernn w8a8")}  # of the nets
    assert promised == {"bytes to scores, a sample", "timing operations, longer by", *starts, *integers}
    assert "| edgernn |" in markdown
