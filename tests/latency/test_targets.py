"""What is profiled is the real thing: onnxruntime computes the same scores, streams see every sample."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from recurrent import Recurrent
from sequence_models import make_model
from stream_models import larger_channel

from edgernn.errors import InputError
from edgernn.importers import import_onnx
from edgernn.latency.onnxruntime import onnxruntime_step, receptive_steps
from edgernn.latency.operations import AROUND, time_operations
from edgernn.latency.profiler import profile
from edgernn.latency.streams import PortTarget, VirtualPortTarget
from edgernn.latency.targets import SAMPLES, random_frames, step_samples
from edgernn.runtime.runner import Runner
from edgernn.stream.sources.virtual_port import VirtualBoard, VirtualPort, csv_frames

ROOT = Path(__file__).parents[2]
DEMO_MODEL = ROOT / "edgernn" / "data" / "demo_model.onnx"


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_onnxruntime_carries_the_states_of_a_step_model(
    cell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "tools")
    from benchmarks.models import Model

    path = tmp_path / "step.onnx"
    path.write_bytes(Model(cell, 16).onnx())
    imported = import_onnx(path)
    benchmark_target, runner = onnxruntime_step(path, imported), Runner(imported.program)
    assert benchmark_target.name == "onnxruntime"
    for x in benchmark_target.samples[:50]:
        assert np.abs(benchmark_target.step(x)["scores"].ravel() - runner.step(x)).max() < 1e-6


def test_onnxruntime_computes_the_last_samples_of_a_model_that_hides_its_states() -> None:
    imported = import_onnx(DEMO_MODEL)
    length = imported.program.trained_steps
    benchmark_target, runner = onnxruntime_step(DEMO_MODEL, imported), Runner(imported.program)
    assert benchmark_target.name == f"onnxruntime, {length} samples each time"
    for x in benchmark_target.samples[:length]:
        scores = benchmark_target.step(x)["probabilities"]
        expected = runner.step(x)
    assert np.abs(scores.reshape(-1, expected.size)[-1] - expected).max() < 1e-5


def test_onnxruntime_computes_what_a_convolution_sees_when_its_output_comes(tmp_path: Path) -> None:
    """Channels before time; three frames two apart, and a frame for every second of those: five and four samples."""
    rng = np.random.default_rng(2)
    nodes = [
        helper.make_node("Conv", ["x", "W"], ["y"], name="conv", dilations=[2], strides=[2]),
        helper.make_node("Conv", ["y", "V"], ["z"], name="head"),
    ]
    weights = {"W": rng.normal(size=(4, 3, 3)).astype(np.float32), "V": rng.normal(size=(2, 4, 3)).astype(np.float32)}
    path = tmp_path / "conv.onnx"
    onnx.save(make_model(nodes, {"x": [1, 3, "time"]}, ["z"], weights), path)
    imported = import_onnx(path)
    benchmark_target, runner = onnxruntime_step(path, imported), Runner(imported.program)
    assert benchmark_target.name == "onnxruntime, 9 samples each time"
    came = []
    for k, x in enumerate(benchmark_target.samples[:30]):
        found, expected = benchmark_target.step(x)["z"], runner.step(x)
        if expected is not None:
            assert np.abs(found.ravel() - expected).max() < 1e-5
            came.append(k)
    assert came == list(range(8, 30, 2))


def test_a_state_that_never_forgets_needs_a_length() -> None:
    assert receptive_steps(import_onnx(DEMO_MODEL).program) is None


def test_onnxruntime_computes_windows_where_they_end() -> None:
    imported = import_onnx(DEMO_MODEL)
    windowed = replace(imported, program=imported.program.with_window(20, 10))
    benchmark_target, runner = onnxruntime_step(DEMO_MODEL, windowed), Runner(windowed.program)
    ends = []
    before = None
    for k, x in enumerate(benchmark_target.samples[:60]):
        scores, expected = benchmark_target.step(x)["probabilities"].copy(), runner.step(x)
        if expected is not None:
            assert np.abs(scores.reshape(expected.shape) - expected).max() < 1e-5
            assert not np.array_equal(scores, before)
            ends.append(k)
        before = scores
    assert ends == [19, 29, 39, 49, 59]


def test_samples_are_a_models_own() -> None:
    program = Recurrent("GRU", hidden_size=16).program()
    frames = random_frames(program)
    assert {name: rows.shape for name, rows in frames.items()} == {
        port.name: (SAMPLES, *port.shape) for port in program.inputs
    }
    assert len(step_samples(frames)) == SAMPLES


def test_a_stream_refuses_a_model_with_several_inputs(tmp_path: Path) -> None:
    from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription
    from edgernn.program.operations import Binary
    from edgernn.program.program import Program

    description = ProgramDescription(
        inputs=(InputDescription("a", (2,)), InputDescription("b", (2,))),
        outputs=(OutputDescription("y", "y", per_frame=True),),
        operations=(Binary(name="sum", function="Add", inputs=("a", "b"), outputs=("y",)),),
    )
    with pytest.raises(InputError, match="this one has 2: profile its step"):
        VirtualPortTarget(Program(description, {}))


def test_every_sample_goes_through_the_virtual_port() -> None:
    benchmark_target = VirtualPortTarget(larger_channel())
    try:
        (recorder,) = profile([benchmark_target], steps=120, period_ns=10_000_000)
    finally:
        benchmark_target.close()
    assert recorder.response.total == 120
    assert 0 < recorder.service.smallest <= recorder.response.largest


def test_a_port_that_a_board_sends_to() -> None:
    samples = random_frames(larger_channel())["x"]
    with VirtualPort() as port:
        benchmark_target = PortTarget(larger_channel(), port.device)
        board = VirtualBoard(port.write, iter([b"\r\n", *csv_frames(samples)]), rate_hz=1000)
        board.start()
        try:
            (recorder,) = profile([benchmark_target], steps=200, period_ns=1_000_000)
        finally:
            board.stop()
            benchmark_target.close()
    assert recorder.response.total == 200
    assert recorder.response.largest == recorder.service.largest


@pytest.mark.parametrize("window", [None, (10, 5)])
def test_operations_add_up_to_the_step(window: tuple[int, int] | None) -> None:
    program = Recurrent("GRU", hidden_size=16).program()
    times = time_operations(program if window is None else program.with_window(*window))
    assert times.operations[0].name == AROUND
    assert [part.name for part in times.operations[1:]][: len(program.operations)] == [
        operation.name for operation in program.operations
    ]
    assert sum(part.time_ns for part in times.operations) == pytest.approx(times.sum_ns)
    assert sum(part.share for part in times.operations) == pytest.approx(1.0)
    assert times.change == pytest.approx(times.sum_ns / times.plain_ns - 1)
