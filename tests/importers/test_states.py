"""Which outputs feed which state inputs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper
from sequence_models import cell_weights, check_against_original, make_model, run_original

import edgernn
from edgernn.importers.onnx.importer import import_model
from edgernn.program.operations import ReadState, WriteState

node = helper.make_node
RNG = np.random.default_rng(0)


def leaky_step(
    state: str = "h", new_state: str = "h_out", shape: tuple[int, ...] = (1, 4), **properties: str
) -> ModelProto:
    """One step of ``h = tanh(x W + h / 2)`` in plain operators, with y = 2 h."""
    nodes = [
        node("MatMul", ["x", "W"], ["drive"]),
        node("Mul", [state, "half"], ["kept"]),
        node("Add", ["drive", "kept"], ["sum"]),
        node("Tanh", ["sum"], [new_state]),
        node("Mul", [new_state, "two"], ["y"]),
    ]
    weights = {"W": RNG.standard_normal((3, 4)).astype(np.float32), "half": np.float32(0.5), "two": np.float32(2)}
    return make_model(nodes, {"x": (1, 3), state: (1, 4)}, ["y", new_state], weights, properties=properties)


@pytest.mark.parametrize(
    ("state", "new_state"),
    [
        ("h", "h_out"),
        ("h0", "hn"),
        ("h_in", "h_out"),
        ("hidden.old", "hidden.new"),
        ("h_prev_2", "h_next_2"),
        ("s", "s_t"),
        ("n", "n_out"),
        ("past", "present"),
        ("x_prev", "x_next"),
    ],
)
def test_names_that_make_a_pair(state: str, new_state: str) -> None:
    imported = import_model(leaky_step(state, new_state))
    assert imported.pairs == {state: new_state}
    assert [slot.name for slot in imported.program.state] == [state]
    assert [port.name for port in imported.program.outputs] == ["y"]


def test_step_graph_reads_and_writes_its_state() -> None:
    model = leaky_step()
    program = import_model(model).program
    assert isinstance(program.operations[0], ReadState)
    assert isinstance(program.operations[-1], WriteState)
    runner, h = edgernn.Runner(program), np.zeros((1, 4), np.float32)
    for x in RNG.standard_normal((20, 1, 3)).astype(np.float32):
        expected = run_original(model, {"x": x, "h": h})
        np.testing.assert_allclose(runner.step(x[0]), expected["y"][0], atol=1e-6)
        h = expected["h_out"]
    np.testing.assert_allclose(runner.state["h"], h[0], atol=1e-6)


def test_names_that_say_nothing_are_refused_with_the_candidates() -> None:
    with pytest.raises(edgernn.StatePairingError, match=r"memory from y or result.*states="):
        import_model(leaky_step("memory", "result"))


def test_the_user_settles_it() -> None:
    assert import_model(leaky_step("memory", "result"), states={"memory": "result"}).pairs == {"memory": "result"}


def test_the_user_says_that_there_are_no_states() -> None:
    program = import_model(leaky_step(), states={}).program
    assert [port.name for port in program.inputs] == ["x", "h"]
    assert program.state == ()


def test_metadata_settles_it_and_the_user_overrules_it() -> None:
    model = leaky_step("memory", "result", **{"edgernn.states": json.dumps({"memory": "result"})})
    assert import_model(model).pairs == {"memory": "result"}
    assert import_model(model, states={}).pairs == {}


@pytest.mark.parametrize("text", ["{", "[1]", '{"memory": 3}'])
def test_damaged_metadata(text: str) -> None:
    with pytest.raises(edgernn.MalformedModelError, match=r"edgernn\.states"):
        import_model(leaky_step("memory", "result", **{"edgernn.states": text}))


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ({"nothing": "h_out"}, "no input 'nothing'"),
        ({"h": "nothing"}, "no output 'nothing'"),
        ({"x": "h_out"}, "has 4 numbers"),
        ({"h": "y", "x": "y"}, "has 4 numbers|one output"),
    ],
)
def test_stated_pairs_must_be_possible(states: dict[str, str], words: str) -> None:
    with pytest.raises(edgernn.StatePairingError, match=words):
        import_model(leaky_step(), states=states)


def test_one_input_must_be_left_for_the_samples() -> None:
    model = make_model([node("Tanh", ["h"], ["h_out"]), node("Abs", ["h"], ["y"])], {"h": (1, 4)}, ["y", "h_out"])
    assert import_model(model).pairs == {}
    with pytest.raises(edgernn.StatePairingError, match="every input"):
        import_model(model, states={"h": "h_out"})


def two_layers(packed: bool, **options: Any) -> ModelProto:
    """Two GRU layers whose states are inputs: one packed tensor, or one for each layer in another order."""
    rng = np.random.default_rng(2)
    weights = cell_weights("GRU", 3, 4, rng, "a.") | cell_weights("GRU", 4, 4, rng, "b.")
    weights |= {name: np.array(value) for name, value in {"0": [0], "1": [1], "2": [2]}.items()}
    begins = ["first", "second"]
    nodes = []
    inputs: dict[str, Any] = {"x": ("time", 1, 3)}
    if packed:
        inputs["h0"] = (2, 1, 4)
        nodes += [node("Slice", ["h0", edge, after, "0"], [f"begin{edge}"]) for edge, after in (("0", "1"), ("1", "2"))]
        begins = ["begin0", "begin1"]
    else:
        inputs |= {"second": (1, 1, 4), "first": (1, 1, 4)}
    nodes += [
        node("GRU", ["x", "a.W", "a.R", "a.B", "", begins[0]], ["Y_a", "last_a"], hidden_size=4),
        node("Squeeze", ["Y_a", "1"], ["between"]),
        node("GRU", ["between", "b.W", "b.R", "b.B", "", begins[1]], ["Y_b", "last_b"], hidden_size=4),
        node("Squeeze", ["Y_b", "1"], ["y"]),
    ]
    outputs = ["last_a", "y", "last_b"]
    if packed:
        order = options.get("order", ["last_a", "last_b"])
        nodes.append(node("Concat", order, ["all"], axis=0))
        outputs = ["all", "y"]
    return make_model(nodes, inputs, outputs, weights)


def feeds_of(model: ModelProto, steps: int) -> dict[str, Any]:
    return {
        entry.name: RNG.uniform(-1, 1, [d.dim_value or steps for d in entry.type.tensor_type.shape.dim]).astype(
            np.float32
        )
        for entry in model.graph.input
    }


def test_recurrences_prove_their_pairs_whatever_the_names() -> None:
    model = two_layers(packed=False)
    imported = check_against_original(model, feeds_of(model, 9))
    assert imported.pairs == {"first": "last_a", "second": "last_b"}
    assert [port.name for port in imported.program.outputs] == ["y"]


def test_packed_state_is_one_slot() -> None:
    model = two_layers(packed=True)
    imported = check_against_original(model, feeds_of(model, 9))
    assert imported.pairs == {"h0": "all"}
    assert [(slot.name, slot.shape) for slot in imported.program.state] == [("h0", (2, 4))]
    assert not any(isinstance(operation, ReadState | WriteState) for operation in imported.program.operations)


def test_packed_state_in_the_wrong_order_is_no_pair() -> None:
    model = two_layers(packed=True, order=["last_b", "last_a"])
    imported = check_against_original(model, feeds_of(model, 9))
    assert imported.pairs == {}
    assert [port.name for port in imported.program.outputs] == ["all", "y"]
    with pytest.raises(edgernn.StatePairingError, match="is not the last state"):
        import_model(model, states={"h0": "all"})


def test_one_state_for_two_recurrences_is_refused() -> None:
    model = two_layers(packed=False)
    for entry in model.graph.node:
        for i, name in enumerate(entry.input):
            if name == "second":
                entry.input[i] = "first"
    with pytest.raises(edgernn.UnsupportedModelError, match="first begins two recurrences"):
        import_model(model)


def test_states_that_are_swapped_each_step() -> None:
    """Each new state is the other's old one: all reads come before all writes."""
    nodes = [node("Identity", ["a"], ["b_out"]), node("Add", ["x", "b"], ["a_out"]), node("Add", ["a", "x"], ["y"])]
    model = make_model(nodes, {"x": (1, 2), "a": (1, 2), "b": (1, 2)}, ["y", "a_out", "b_out"])
    program = import_model(model).program
    runner, states = edgernn.Runner(program), {"a": np.zeros((1, 2), np.float32), "b": np.zeros((1, 2), np.float32)}
    for x in RNG.standard_normal((9, 1, 2)).astype(np.float32):
        expected = run_original(model, {"x": x} | states)
        np.testing.assert_allclose(runner.step(x[0]), expected["y"][0], atol=1e-6)
        states = {name: expected[f"{name}_out"] for name in states}


def test_state_half_kept_by_a_cell_and_half_by_plain_operators() -> None:
    """A packed state: the first half belongs to a GRU, the second is a running sum."""
    weights = cell_weights("GRU", 3, 3, np.random.default_rng(3)) | {
        "0": np.array([0]),
        "1": np.array([1]),
        "2": np.array([2]),
    }
    nodes = [
        node("Split", ["s", ""], ["s_gru", "s_sum"], axis=0),
        node("GRU", ["x", "W", "R", "B", "", "s_gru"], ["", "h"], hidden_size=3),
        node("Add", ["s_sum", "x"], ["total"]),
        node("Concat", ["h", "total"], ["s_out"], axis=0),
        node("Add", ["h", "total"], ["y"]),
    ]
    weights = cell_weights("GRU", 3, 3, np.random.default_rng(3))
    model = make_model(nodes, {"x": (1, 1, 3), "s": (2, 1, 3)}, ["y", "s_out"], weights)
    program = import_model(model).program
    runner, s = edgernn.Runner(program), np.zeros((2, 1, 3), np.float32)
    for x in RNG.standard_normal((9, 1, 1, 3)).astype(np.float32):
        expected = run_original(model, {"x": x, "s": s})
        np.testing.assert_allclose(np.ravel(runner.step(x.ravel())), expected["y"].ravel(), atol=1e-5)
        s = expected["s_out"]


def test_state_input_that_is_read_beside_its_recurrence_is_refused() -> None:
    weights = cell_weights("GRU", 3, 4, RNG) | {"1": np.array([1])}
    nodes = [
        node("GRU", ["x", "W", "R", "B", "", "h0"], ["", "hn"], hidden_size=4),
        node("Add", ["hn", "h0"], ["y"]),
    ]
    model = make_model(nodes, {"x": ("time", 1, 3), "h0": (1, 1, 4)}, ["y", "hn"], weights)
    with pytest.raises(edgernn.UnsupportedModelError, match="h0 is read by more than the recurrence"):
        import_model(model)


def test_the_only_output_stays_one_although_it_is_a_state() -> None:
    cell = node("GRU", ["x", "W", "R", "B", "", "h0"], ["", "hn"], hidden_size=4)
    model = make_model([cell], {"x": ("time", 1, 3), "h0": (1, 1, 4)}, ["hn"], cell_weights("GRU", 3, 4, RNG))
    imported = check_against_original(model, feeds_of(model, 5))
    assert [port.name for port in imported.program.outputs] == ["hn"]
    assert [slot.name for slot in imported.program.state] == ["h0"]


def test_states_that_only_move() -> None:
    """A delay line of two samples: nothing but moves between inputs, states and outputs."""
    nodes = [
        node("Identity", ["x"], ["a_out"]),
        node("Identity", ["a"], ["b_out"]),
        node("Identity", ["b"], ["y"]),
    ]
    model = make_model(nodes, {"x": (1, 2), "a": (1, 2), "b": (1, 2)}, ["y", "a_out", "b_out"])
    runner = edgernn.Runner(import_model(model).program)
    x = RNG.standard_normal((9, 2)).astype(np.float32)
    np.testing.assert_array_equal(runner.run(x)[2:], x[:-2])


def with_cache(
    cache: tuple[str, str], state: tuple[str, str] | None = None, frames: int | str = 1, channels_last: bool = False
) -> ModelProto:
    """A causal convolution that is given its last frames (batch, 3, 2), and a leaky state behind it."""
    axis, order = (1, (0, 1)) if channels_last else (2, (1, 0))

    def shaped(extents: list[Any]) -> tuple[Any, ...]:
        return (1, *(extents[i] for i in order))

    rng = np.random.default_rng(3)
    weights: dict[str, Any] = {"W": rng.standard_normal((4, 3, 3)).astype(np.float32) / 3, "half": np.float32(0.5)}
    weights |= {"-2": np.array([-2]), "end": np.array([2**63 - 1]), "axis": np.array([axis])}
    nodes = [
        node("Concat", [cache[0], "x"], ["joined"], axis=axis),
        node("Slice", ["joined", "-2", "end", "axis"], [cache[1]]),
        node("Transpose", ["joined"], ["channels"], perm=(0, 2, 1) if channels_last else (0, 1, 2)),
        node("Conv", ["channels", "W"], ["drive"]),
        node("Tanh", ["drive"], ["y" if state is None else "bounded"]),
    ]
    inputs = {"x": shaped([frames, 3]), cache[0]: shaped([2, 3])}
    if state is None:
        return make_model(nodes, inputs, ["y", cache[1]], weights)
    nodes += [
        node("Mul", [state[0], "half"], ["left"]),
        node("Add", ["left", "bounded"], [state[1]]),
        node("Neg", [state[1]], ["y"]),
    ]
    return make_model(nodes, inputs | {state[0]: (1, 4, 1)}, ["y", cache[1], state[1]], weights)


@pytest.mark.parametrize("state", [None, ("h", "h_out")])
def test_a_cache_that_is_moved_on_pairs_by_itself(state: tuple[str, str] | None) -> None:
    """Its name says nothing; without tracing, its frames would be taken for a sequence."""
    model = with_cache(("memory", "fresh"), state)
    imported = import_model(model)
    pairs = {"memory": "fresh"} | ({} if state is None else dict([state]))
    assert imported.pairs == pairs
    assert imported.program.mode == "continuous"
    runner = edgernn.Runner(imported.program)
    states = {slot.name: np.zeros((1, *slot.shape), np.float32) for slot in imported.program.state}
    for x in RNG.standard_normal((9, 1, 3, 1)).astype(np.float32):
        expected = run_original(model, {"x": x} | states)
        np.testing.assert_allclose(runner.step(x[0]), expected["y"][0], atol=1e-6)
        states = {name: expected[output] for name, output in pairs.items()}


def test_a_state_whose_name_says_nothing_beside_one_that_pairs_is_refused_with_the_candidates() -> None:
    """Its three axes could be those of a sequence."""
    nodes = [
        node("Add", ["x", "h"], ["h_out"]),
        node("Unsqueeze", ["h_out", "0"], ["row"]),
        node("Mul", ["memory", "row"], ["fresh"]),
        node("ReduceSum", ["fresh", "-1"], ["y"]),
    ]
    inputs = {"x": (1, 4), "h": (1, 4), "memory": (1, 5, 4)}
    weights = {"0": np.array([0]), "-1": np.array([-1])}
    model = make_model(nodes, inputs, ["y", "h_out", "fresh"], weights)
    with pytest.raises(edgernn.StatePairingError, match=r"memory from fresh.*states="):
        import_model(model)
    states = {"h": "h_out", "memory": "fresh"}
    assert import_model(model, states=states).pairs == states


@pytest.mark.parametrize("names", [("past", "present"), ("memory", "fresh")])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("frames", ["time", 9])
def test_a_whole_sequence_behind_a_cache(names: tuple[str, str], channels_last: bool, frames: Any) -> None:
    model = with_cache(names, frames=frames, channels_last=channels_last)
    imported = check_against_original(model, feeds_of(model, 9))
    assert imported.pairs == dict([names])
    assert imported.program.inputs[0].shape == (3,)
    assert imported.program.mode == "continuous"


def test_a_cache_of_other_length_than_the_convolution_is_refused() -> None:
    model = with_cache(("past", "present"), frames="time")
    model.graph.node[3].attribute.append(helper.make_attribute("dilations", [2]))
    with pytest.raises(edgernn.UnsupportedModelError, match="begins with 2 frames from a state: a state of 4 frames"):
        import_model(model)


def test_a_cache_that_something_else_reads_is_refused() -> None:
    model = with_cache(("past", "present"), frames="time")
    model.graph.node[2].CopyFrom(node("Tanh", ["joined"], ["channels"]))
    with pytest.raises(edgernn.UnsupportedModelError, match="export the model for one time step"):
        import_model(model)


@pytest.mark.parametrize("batch", [1, "batch"])
def test_a_step_whose_frame_has_several_axes(batch: Any) -> None:
    """The gate of a cell is a convolution over the features of a frame, which are no sequence."""
    rng = np.random.default_rng(4)
    nodes = [
        node("Concat", ["x", "h"], ["both"], axis=1),
        node("Conv", ["both", "W"], ["gate"], pads=[1, 1]),
        node("Sigmoid", ["gate"], ["share"]),
        node("Mul", ["share", "h"], ["h_new"]),
        node("Tanh", ["h_new"], ["y"]),
    ]
    weights = {"W": rng.standard_normal((2, 5, 3)).astype(np.float32)}
    model = make_model(nodes, {"x": (batch, 3, 6), "h": (batch, 2, 6)}, ["y", "h_new"], weights)
    imported = import_model(model)
    assert imported.pairs == {"h": "h_new"}
    assert [(port.name, port.shape) for port in imported.program.inputs] == [("x", (3, 6))]
    runner, h = edgernn.Runner(imported.program), rng.standard_normal((1, 2, 6)).astype(np.float32)
    runner.state["h"][...] = h[0]
    for x in rng.standard_normal((5, 1, 3, 6)).astype(np.float32):
        expected = run_original(model, {"x": x, "h": h})
        np.testing.assert_allclose(runner.step(x[0]), expected["y"][0], atol=1e-6)
        h = expected["h_new"]
