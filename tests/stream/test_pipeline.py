"""Bytes to events: in any split, against the model and the decisions run by themselves."""

from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from byte_streams import cuts, pieces
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_models import LookAhead, larger_channel, looks_ahead, next_letter, random_gru, turns, two_frames

from edgernn.errors import ConfigError, FormatError
from edgernn.program.metadata import DecisionSettings, Metadata
from edgernn.program.program import Program
from edgernn.quantizer import quantize
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.runner import Runner
from edgernn.stream.config import DecisionChanges, StreamSettings
from edgernn.stream.decisions import Decider
from edgernn.stream.formats.cobs import encode_packet
from edgernn.stream.pipeline import Pipeline
from edgernn.stream.sources.base import Chunk
from edgernn.stream.sources.virtual_port import cobs_frames, csv_frames

SAMPLES = np.random.default_rng(3).normal(size=(300, 3)).cumsum(axis=0) % 4 - 2  # (300, 3)


def feed(pipeline: Pipeline, parts: list[bytes]) -> list[tuple[int, str, float]]:
    chunks = [Chunk(part, place * 1_000_000, 0, 0) for place, part in enumerate(parts)]
    return [(event.step, event.label, event.score) for chunk in chunks for event in pipeline.feed(chunk)]


def expected_events(program: Program, X: np.ndarray, steps: list[int] | None = None) -> list[tuple[int, str, float]]:
    """What the float64 reference and the decisions give for the model's inputs."""
    labels = program.metadata.labels
    scores = ReferenceRunner(program).run(X)
    found = Decider(program.metadata.decision, labels).feed(scores)
    return [(one.output if steps is None else steps[one.output], labels[one.label], one.score) for one in found]


def assert_same_events(found: list[tuple[int, str, float]], expected: list[tuple[int, str, float]]) -> None:
    assert [event[:2] for event in found] == [event[:2] for event in expected]
    assert len(expected) > 3
    np.testing.assert_allclose([event[2] for event in found], [event[2] for event in expected], atol=1e-4)


@pytest.mark.parametrize("kind", ["csv", "cobs"])
@settings(max_examples=20)
@given(fractions=cuts)
def test_events_are_those_of_model_and_decisions_in_any_split(kind: str, fractions: list[float]) -> None:
    frames = csv_frames(SAMPLES, decimals=9) if kind == "csv" else cobs_frames(SAMPLES, 50)
    pipeline = Pipeline(random_gru(), StreamSettings(), whole_start=True)
    found = feed(pipeline, pieces(b"".join(frames), fractions))
    assert_same_events(found, expected_events(random_gru(), SAMPLES.astype(np.float32)))
    assert pipeline.steps == len(SAMPLES)


def test_normalisation_columns_and_labels_of_metadata_and_settings() -> None:
    metadata = Metadata(
        labels=("a", "b", "c"), mean=(1, 2, 3), std=(2, 2, 2), decision=DecisionSettings(threshold=0.5, release=0.45)
    )
    program = random_gru(metadata=metadata)
    sent = np.concatenate([np.zeros((300, 1)), SAMPLES[:, ::-1] * 200 + [0, 0, 100]], axis=1)  # a time, then z y x
    settings = StreamSettings(columns=(3, 2, 1), scale=0.01, labels=("x", "y", "z"), mean=(1.5, 0, 0), std=(2, 2, 2))
    found = feed(Pipeline(program, settings, whole_start=True), [b"".join(csv_frames(sent, decimals=9))])
    X = ((sent[:, [3, 2, 1]] * 0.01 - [1.5, 0, 0]) / 2).astype(np.float32)
    names = dict(zip("abc", "xyz", strict=True))
    assert_same_events(found, [(step, names[label], score) for step, label, score in expected_events(program, X)])


def test_a_model_of_a_trained_length_runs_on_windows_of_it_and_says_so() -> None:
    program = random_gru(trained_steps=20)
    pipeline = Pipeline(program, StreamSettings(), whole_start=True)
    assert "windows of 20 steps, one every 5" in pipeline.notes[0]
    found = feed(pipeline, [b"".join(csv_frames(SAMPLES, decimals=9))])
    steps = list(range(19, 300, 5))
    assert_same_events(found, expected_events(program.with_window(20, 5), SAMPLES.astype(np.float32), steps))


def test_continuous_and_reset_every_keep_the_model_from_windows() -> None:
    program = random_gru(trained_steps=20)
    data = [b"".join(csv_frames(SAMPLES, decimals=9))]
    continuous = Pipeline(program, StreamSettings(continuous=True), whole_start=True)
    assert_same_events(feed(continuous, data), expected_events(program, SAMPLES.astype(np.float32)))
    assert continuous.notes == []
    found = feed(Pipeline(program, StreamSettings(reset_every=70), whole_start=True), data)
    expected = []
    for start in range(0, 300, 70):
        part = expected_events(program, SAMPLES[start : start + 70].astype(np.float32))
        expected += [(start + step, label, score) for step, label, score in part]
    assert_same_events(found, expected)


@settings(max_examples=15)
@given(st.sets(st.integers(1, 298), max_size=30), cuts)
def test_lost_packets_are_held_so_that_steps_stay_in_time(lost: set[int], fractions: list[float]) -> None:
    frames = [frame for place, frame in enumerate(cobs_frames(SAMPLES, 50)) if place not in lost]
    pipeline = Pipeline(random_gru(), StreamSettings(gap_steps=100), whole_start=True)
    found = feed(pipeline, pieces(b"".join(frames), fractions))
    held = SAMPLES.copy()
    for place in sorted(lost):
        held[place] = held[place - 1]
    assert_same_events(found, expected_events(random_gru(), held.astype(np.float32)))
    assert pipeline.counts()["lost"] == pipeline.counts()["filled"] == len(lost)


def test_nan_never_reaches_the_model() -> None:
    lines = [f"{x},{y},{z}\n" for x, y, z in SAMPLES]
    for place in (5, 6, 100):
        lines[place] = "nan,inf,1e99\n"
    runner = Runner(random_gru())
    pipeline = Pipeline(random_gru(), StreamSettings(), runner=runner, whole_start=True)
    feed(pipeline, ["".join(lines).encode()])
    held = SAMPLES.copy()
    held[[5, 6]], held[100] = held[4], held[99]
    reference = ReferenceRunner(random_gru())
    reference.run(held.astype(np.float32))
    np.testing.assert_allclose(np.asarray(runner.state["h"]), reference.state["h"], atol=1e-5)
    counts = pipeline.counts()
    assert (counts["non_finite"], counts["out_of_range"], counts["diverged"]) == (3, 3, 0)


class DivergesOnce(Runner):
    """Says once that its state is no longer finite."""

    healthy = True

    def state_is_finite(self) -> bool:
        healthy, self.healthy = self.healthy, True
        return healthy


def test_a_diverged_state_is_reset_and_counted() -> None:
    runner = DivergesOnce(random_gru())
    pipeline = Pipeline(random_gru(), StreamSettings(), runner=runner, whole_start=True)
    frames = list(csv_frames(SAMPLES))
    feed(pipeline, [b"".join(frames[:10])])
    assert np.asarray(runner.state["h"]).any()
    runner.healthy = False
    feed(pipeline, [b"".join(frames[10:12])])
    assert pipeline.counts()["diverged"] == 1
    assert not np.asarray(runner.state["h"]).any()


def test_missing_bytes_make_the_model_begin_anew_unless_the_state_is_kept() -> None:
    data = b"".join(csv_frames(SAMPLES[:50], decimals=9))
    for keep_state in (False, True):
        runner = Runner(random_gru())
        pipeline = Pipeline(random_gru(), StreamSettings(keep_state=keep_state), runner=runner, whole_start=True)
        feed(pipeline, [data])
        pipeline.interrupted(reconnected=True)
        feed(pipeline, [b"5,6\n1,2,3\n"])
        reference = ReferenceRunner(random_gru())
        if keep_state:
            reference.run(SAMPLES[:50].astype(np.float32))
        reference.step([1, 2, 3])
        np.testing.assert_allclose(np.asarray(runner.state["h"]), reference.state["h"], atol=1e-5)


@settings(max_examples=15)
@given(cuts, st.sampled_from([None, 70]), st.integers(1, 12))
def test_what_a_model_with_look_ahead_keeps_back_comes_at_the_end(
    fractions: list[float], reset_every: int | None, delay: int
) -> None:
    program = larger_channel()
    samples = np.abs(SAMPLES)
    steps: list[int] = []
    scores: list[np.ndarray] = []
    observer = SimpleNamespace(outputs=lambda at, y: (steps.extend(at), scores.extend(y)), reset=lambda: None)
    pipeline = Pipeline(
        program,
        StreamSettings(reset_every=reset_every),
        runner=LookAhead(program, delay),  # type: ignore[arg-type]
        whole_start=True,
        observer=observer,
    )
    found = feed(pipeline, pieces(b"".join(csv_frames(samples, decimals=9)), fractions))
    found += [(event.step, event.label, event.score) for event in pipeline.finish(Chunk(b"", 0, 0, 0))]
    blocks = [range(start, min(start + (reset_every or 300), 300)) for start in range(0, 300, reset_every or 300)]
    expected = []
    decider = Decider(program.metadata.decision, program.metadata.labels)
    for block in blocks:
        decider.reset()
        decisions = decider.feed(ReferenceRunner(program).run(samples[block].astype(np.float32)))
        came = [min(block.start + one.output + delay, block.stop - 1) for one in decisions]
        expected += [(step, program.metadata.labels[one.label]) for step, one in zip(came, decisions, strict=True)]
    assert [event[:2] for event in found] == expected
    np.testing.assert_allclose(scores, ReferenceRunner(program).run(samples.astype(np.float32)), atol=1e-5)
    assert len(steps) == 300


class TwoPaces(LookAhead):
    """Its first output comes at every second step, with two frames; the other at every step."""

    def run(self, X: Any, *, index: bool) -> tuple[Any, Any]:
        Y = self._runner.run(X)
        steps = np.arange(len(Y["logits"]))  # blocks of an even length
        frames = Y["scores"].reshape(len(steps) // 2, 2, 2)
        return {"scores": frames, "logits": Y["logits"]}, {"scores": steps[1::2], "logits": steps}

    def flush(self) -> Any:
        return {"scores": np.zeros((0, 2, 2), np.float32), "logits": np.zeros((0, 2), np.float32)}


def test_outputs_at_steps_of_their_own() -> None:
    from edgernn.program.description import OutputDescription

    one = larger_channel()
    outputs = (*one.description.outputs, OutputDescription("logits", "logits", per_frame=True))
    two = Program(msgspec.structs.replace(one.description, outputs=outputs), one.weights)
    samples = np.abs(SAMPLES)
    pipeline = Pipeline(two, StreamSettings(), runner=TwoPaces(two, 0), whole_start=True)  # type: ignore[arg-type]
    lines = list(csv_frames(samples, decimals=9))
    found = feed(pipeline, [b"".join(lines[k : k + 10]) for k in range(0, 300, 10)])
    expected = expected_events(one, samples.astype(np.float32))
    assert len(expected) > 5
    assert [event[:2] for event in found] == [(step | 1, label) for step, label, _ in expected]
    assert pipeline.finish(Chunk(b"", 0, 0, 0)) == []


def observed(program: Program, data: bytes, settings: StreamSettings | None = None) -> tuple[list[int], np.ndarray]:
    """The step of each output, and its scores before smoothing."""
    steps: list[int] = []
    scores: list[np.ndarray] = []
    observer = SimpleNamespace(outputs=lambda at, y: (steps.extend(at), scores.extend(y)), reset=lambda: None)
    pipeline = Pipeline(program, settings or StreamSettings(), whole_start=True, observer=observer)
    feed(pipeline, [data])
    pipeline.finish(Chunk(b"", 0, 0, 0))
    return steps, np.array(scores)


def test_several_frames_in_each_step_are_told_apart_whatever_their_axis() -> None:
    samples = SAMPLES[:20, :2]
    steps, scores = observed(two_frames(), b"".join(csv_frames(samples, decimals=9)))
    assert steps == [step for step in range(20) for _ in range(2)]
    both = np.stack([samples, -samples], axis=1).reshape(-1, 2)  # (2 T, 2)
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-both)), atol=1e-6)


@pytest.mark.parametrize("count", range(1, 12))
def test_frames_after_the_end_are_counted_on_at_their_own_steps(count: int) -> None:
    """A frame for each second sample, made of three before and three behind: frame j comes at step 2 j + 3."""
    samples = SAMPLES[:count, :2]
    steps, scores = observed(looks_ahead(), b"".join(csv_frames(samples, decimals=9)))
    middles = range(0, count, 2)
    assert steps == [middle + 3 for middle in middles]
    padded = np.pad(samples, ((3, 3), (0, 0)))
    expected = [1 / (1 + np.exp(-padded[middle : middle + 7].mean(axis=0))) for middle in middles]
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_a_stream_that_has_just_begun_anew_has_nothing_to_flush() -> None:
    steps, _ = observed(looks_ahead(), b"".join(csv_frames(SAMPLES[:8, :2])), StreamSettings(reset_every=4))
    assert steps == [3, 5, 7, 9]


def test_scores_are_about_the_frame_that_their_own_output_looks_ahead_for() -> None:
    program = looks_ahead(stride=1)
    assert Pipeline(program, StreamSettings()).delay_steps == 3
    outputs = program.description.outputs[::-1]
    description = msgspec.structs.replace(program.description, outputs=outputs)
    at_once = Program(description, program.weights)
    assert at_once.delay_steps == 3
    assert Pipeline(at_once, StreamSettings(raw_scores=True)).delay_steps == 0
    assert Pipeline(program.with_window(9), StreamSettings()).delay_steps == 0


@pytest.mark.parametrize("make", [random_gru, two_frames], ids=["softmax", "sigmoid"])
def test_integers_end_in_probabilities_where_the_floats_do(make: Any) -> None:
    program = make()
    samples = SAMPLES[:, : program.inputs[0].size]
    data = b"".join(csv_frames(samples, decimals=9))
    int8 = quantize(program, samples.astype(np.float32))
    assert int8.arithmetic == "int8"
    (steps, scores), (expected_steps, expected) = observed(int8, data), observed(program, data)
    assert steps == expected_steps
    np.testing.assert_allclose(scores, expected, atol=0.02)


def test_numbers_that_are_no_ids_count_as_missing() -> None:
    pipeline = Pipeline(next_letter(), StreamSettings(), whole_start=True)
    found = feed(pipeline, [b"0\n1\n", b"5\n-6\n", b"1.5\n3000000000\n", b"-1\n2\n"])
    assert [event[:2] for event in found] == [(0, "a"), (1, "b"), (6, "e"), (7, "c")]
    counts = pipeline.counts()
    assert (counts["samples"], counts["out_of_range"], counts["filled"]) == (8, 4, 4)
    began_anew = Pipeline(next_letter(), StreamSettings(gap="reset"), whole_start=True)
    assert [event[1] for event in feed(began_anew, [b"0\n9\n0\n"])] == ["a", "a"]


@pytest.mark.parametrize(("pause_s", "lost", "unknown"), [(32, 2, 0), (33, 0, 1)])
def test_a_sequence_may_have_wrapped_after_half_of_it_at_a_kilohertz_where_the_rate_is_unknown(
    pause_s: int, lost: int, unknown: int
) -> None:
    pipeline = Pipeline(random_gru(), StreamSettings(), whole_start=True)
    for number, second in ((0, 0), (1, 1), (4, 1 + pause_s)):
        arrival_ns = second * 1_000_000_000
        packet = encode_packet(number, 0, [1.0, 2.0, 3.0])  # a board without a clock
        pipeline.feed(Chunk(packet, arrival_ns, arrival_ns, arrival_ns))
    counts = pipeline.counts()
    assert (counts["lost"], counts["unknown_losses"]) == (lost, unknown)


def test_ids_without_a_table_are_whole_numbers_that_float32_holds() -> None:
    from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription
    from edgernn.program.operations import Convert
    from edgernn.stream.input_mapping import WholeNumbers, map_inputs

    description = ProgramDescription(
        inputs=(InputDescription("id", (1,), "int32"),),
        outputs=(OutputDescription("y", "y", per_frame=True),),
        operations=(Convert(name="float", inputs=("id",), outputs=("y",), dtype="float32"),),
    )
    program = Program(description, {})
    (mapping,) = map_inputs(program, program.metadata, StreamSettings())
    X = np.array([[(1 << 24) - 1], [1 << 24], [-(1 << 24)], [-(1 << 24) - 2]], np.float32)
    assert WholeNumbers(program, mapping, {}).reject(X) == 2
    assert np.isnan(X[:, 0]).tolist() == [False, True, False, True]


@pytest.mark.parametrize("settings", [{"gap": "interpolate"}, {"resample": "linear", "rate_hz": 50.0}])
def test_ids_have_nothing_between_them(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="input id takes whole ones: leave it out"):
        Pipeline(next_letter(), StreamSettings(**settings))


def test_two_labels_for_one_probability() -> None:
    from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription
    from edgernn.program.operations import Dense, Unary

    description = ProgramDescription(
        inputs=(InputDescription("x", (3,)),),
        outputs=(OutputDescription("p", "p", per_frame=True),),
        operations=(
            Dense(name="dense", inputs=("x",), outputs=("logit",), W="W"),
            Unary(name="sigmoid", inputs=("logit",), outputs=("p",), function="Sigmoid"),
        ),
        metadata=Metadata(labels=("no", "yes")),
    )
    program = Program(description, {"W": np.array([[8, 0, 0]], np.float32)})
    found = feed(Pipeline(program, StreamSettings(), whole_start=True), [b"-1,0,0\n-1,0,0\n1,0,0\n"])
    assert [event[:2] for event in found] == [(0, "no"), (2, "yes")]


def test_logits_become_probabilities() -> None:
    plain = larger_channel(softmax=False)
    data = [b"".join(csv_frames(turns(6)))]
    with_softmax = feed(Pipeline(larger_channel(), StreamSettings(), whole_start=True), data)
    assert feed(Pipeline(plain, StreamSettings(logits=True), whole_start=True), data) == with_softmax
    raw = feed(Pipeline(plain, StreamSettings(raw_scores=True), whole_start=True), data)
    assert [event[2] for event in raw] == [5.0] * 6
    with pytest.raises(ConfigError, match="output scores does not come from a Softmax or Sigmoid: give --logits"):
        Pipeline(plain, StreamSettings())


@pytest.mark.parametrize(
    ("settings", "data", "error", "complaint"),
    [
        ({}, b"1,2\n3,4\n", FormatError, r"sends 2 numbers in each sample \(csv\), the model takes 3: choose them"),
        ({"columns": (0, 1)}, b"1,2\n3,4\n", FormatError, "2 columns are given"),
        ({"columns": (0, 1, 2)}, b"1,2\n3,4\n", ConfigError, "2 is beyond the 2 numbers"),
        ({"format": "xml"}, b"", ConfigError, "format is 'xml': use csv, csv-comma, plotter, jsonl, cobs"),
        ({"labels": ("a",)}, b"", ConfigError, "there are 1 labels, output scores has 2 scores"),
        ({"labels": ("a", "a")}, b"", ConfigError, "labels has a duplicate entry"),
        ({"decision": DecisionChanges(nothing="rest")}, b"", ConfigError, "decision.nothing is 'rest'"),
    ],
)
def test_what_does_not_fit_is_said(
    settings: dict[str, object], data: bytes, error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        feed(Pipeline(larger_channel(), StreamSettings(**settings), whole_start=True), [data * 4])


def test_the_rate_is_compared_with_the_models() -> None:
    for period_ms, complains in ((20, False), (21, False), (22, True), (18, True)):
        pipeline = Pipeline(larger_channel(rate_hz=50.0), StreamSettings(), whole_start=True)
        for number in range(200):
            pipeline.feed(Chunk(encode_packet(number, 0, [1, 0, 0]), number * period_ms * 1_000_000, 0, 0))
        assert (pipeline.decoder.rate_complaint() is not None) == complains


def test_named_numbers_find_the_models_channels_by_name() -> None:
    metadata = Metadata(labels=("first", "second"), channels=("x", "y", "z"))
    program = larger_channel().with_metadata(metadata)
    lines = b"".join(f"t:{k},z:0,y:{k % 2},x:{1 - k % 2}\n".encode() for k in range(8))
    pipeline = Pipeline(program, StreamSettings(), whole_start=True)
    assert [label for _, label, _ in feed(pipeline, [lines])] == ["first", "second"] * 4
    unnamed = Pipeline(larger_channel(), StreamSettings(), whole_start=True)
    assert [label for _, label, _ in feed(unnamed, [lines])] == ["second"]  # without the clock: z, y, x
    with pytest.raises(FormatError, match="sends 4 numbers"):
        feed(Pipeline(larger_channel(), StreamSettings(), whole_start=True), [lines.replace(b"t:", b"w:")])


HEADED = Metadata(labels=("first", "second"), channels=("x", "y", "z"), units=("g", "g", "m/s^2"))


@pytest.mark.parametrize(
    "heading",
    [
        "z [m/s2],y [G],x",
        "t_ms;z;y;x",
        "Z\ty\tX",
        "seq,z,y,x",
        '"z","y","x"',
        "boot 1.2, ready, go\r\nz,y,x\r\nnow it begins",
    ],
)
def test_a_heading_names_the_numbers(heading: str) -> None:
    separator = next(separator for separator in ";\t," if separator in heading)
    clock = heading.startswith(("t_ms", "seq"))
    rows = [[*([k] if clock else []), 0, k % 2, 1 - k % 2] for k in range(8)]
    sent = "\r\n".join([heading, *(separator.join(map(str, row)) for row in rows), ""]).encode()
    for whole_start in (True, False):
        program = larger_channel().with_metadata(HEADED)
        pipeline = Pipeline(program, StreamSettings(), whole_start=whole_start)
        found = feed(pipeline, [sent if whole_start else b"1,2\r\n" + sent])
        assert [label for _, label, _ in found] == ["first", "second"] * 4
        assert pipeline.counts()["lost"] == 0


@pytest.mark.parametrize(
    ("heading", "complaint"),
    [
        ("x,y,w", r"names its numbers x, y, w \(csv\), the model's channels are x, y, z: z is missing; rename them"),
        ("x,y [mg],z", r"channel y comes in mg \(csv\), the model was trained on g: have the board send that, or"),
    ],
)
def test_a_heading_that_does_not_fit_the_model_is_refused(heading: str, complaint: str) -> None:
    sent = f"{heading}\n1,0,0\n0,1,0\n".encode()
    program = larger_channel().with_metadata(HEADED)
    with pytest.raises(FormatError, match=complaint):
        feed(Pipeline(program, StreamSettings(), whole_start=True), [sent])
    chosen = Pipeline(program, StreamSettings(columns=(0, 1, 2)), whole_start=True)
    assert [label for _, label, _ in feed(chosen, [sent])] == ["first", "second"]


def as_json(frames: list[tuple[int, int, list[float]]], clock: str, unit_us: float) -> list[bytes]:
    return [
        f'{{"seq": {number}, "{clock}": {time_us / unit_us:.9g}, "x": {x}, "y": {y}, "z": {z}}}\n'.encode()
        for number, time_us, (x, y, z) in frames
    ]


@pytest.mark.parametrize(("clock", "unit_us"), [("t_us", 1), ("time_ms", 1e3), ("timestamp", 1e3), ("t_s", 1e6)])
def test_clock_and_sequence_of_json_lines_are_those_of_packets(clock: str, unit_us: float) -> None:
    random = np.random.default_rng(8)
    frames: list[tuple[int, int, list[float]]] = []
    for part, count in enumerate((400, 600)):  # the board restarts in between; its clock is 300 ppm fast
        kept = [number for number in range(count) if number < 2 or random.random() > 0.1]
        first = 65_400 if part == 0 else 0
        frames += [
            (
                first + number,
                round((2**32 * (part == 0) + number * 50_000) * 1.0003),
                random.normal(size=3).round(6).tolist(),
            )
            for number in kept
        ]
    frames[50:52] = [frames[51], frames[51], frames[50]]  # doubled and late
    arrivals_ns = [(k // 2) * 100_000_000 for k in range(len(frames))]
    results = []
    for sent in (
        [encode_packet(number, time_us, values) for number, time_us, values in frames],
        as_json(frames, clock, unit_us),
        as_json([(number % 65536, time_us, values) for number, time_us, values in frames], clock, unit_us),
    ):
        pipeline = Pipeline(random_gru(), StreamSettings(), whole_start=True)
        events = [
            (event.step, event.label)
            for frame, arrival_ns in zip(sent, arrivals_ns, strict=True)
            for event in pipeline.feed(Chunk(frame, arrival_ns, 0, 0))
        ]
        results.append((events, pipeline.counts(), pipeline.decoder.clock_fit.drift_ppm))
    packets = results[0]
    assert (packets[1]["restarts"], packets[1]["duplicated"], packets[1]["late"]) == (1, 1, 1)
    assert packets[1]["lost"] > 50
    for events, counts, drift_ppm in results[1:]:
        assert events == packets[0]
        assert counts == packets[1]
        assert drift_ppm == pytest.approx(packets[2], abs=0.1)


def test_a_clock_without_a_sequence_and_a_sequence_without_a_clock() -> None:
    lines = [f'{{"time": {20 * k}, "x": 1, "y": 0, "z": 0}}\n' for k in range(400)]
    pipeline = Pipeline(larger_channel(), StreamSettings(), whole_start=True)
    for k, line in enumerate([*lines, *lines[:5]]):
        pipeline.feed(Chunk(line.encode(), k * 20_000_000, 0, 0))
        assert k < 399 or pipeline.decoder.sequence.restarts == (k > 399)
        assert k != 399 or pipeline.decoder.clock_fit.drift_ppm == pytest.approx(0, abs=1e-6)
    numbered = [f"seq:{k} x:1 y:0 z:0\n".encode() for k in (*range(65_530, 65_540), 0, 1, 5)]
    pipeline = Pipeline(larger_channel(), StreamSettings(), whole_start=True)
    feed(pipeline, numbered)
    assert (pipeline.counts()["restarts"], pipeline.counts()["lost"]) == (1, 3)


def test_a_sample_whose_clock_or_sequence_is_none_is_malformed() -> None:
    pipeline = Pipeline(larger_channel(), StreamSettings(), whole_start=True)
    good = [f'{{"seq": {k}, "t_us": {k}, "x": 1, "y": 0, "z": 0}}\n'.encode() for k in range(4)]
    bad = [good[0].replace(b'"seq": 0', b'"seq": ' + text) for text in (b"null", b"1.5", b"-1", b"1e300")]
    bad += [good[0].replace(b'"t_us": 0', b'"t_us": ' + text) for text in (b"null", b"1e300", b"-1e18")]
    feed(pipeline, [*good[:2], *bad, *good[2:]])
    assert (pipeline.counts()["samples"], pipeline.counts()["malformed"]) == (4, len(bad))
    assert (pipeline.counts()["lost"], pipeline.counts()["restarts"]) == (0, 0)


def test_a_name_that_the_model_takes_is_no_clock() -> None:
    metadata = Metadata(labels=("first", "second"), channels=("t", "seq", "z"))
    pipeline = Pipeline(larger_channel().with_metadata(metadata), StreamSettings(), whole_start=True)
    found = feed(pipeline, [b'{"t": 5.5, "seq": -1, "z": 0}\n{"t": -1.5, "seq": 7, "z": 0}\n'])
    assert [label for _, label, _ in found] == ["first", "second"]
    assert pipeline.counts()["malformed"] == pipeline.counts()["restarts"] == 0


def test_samples_of_another_rate_are_resampled_to_the_models() -> None:
    program = larger_channel(rate_hz=50.0)
    frames = list(csv_frames(turns(4, length=40)))  # 40 samples of a turn at 100 Hz are 20 at 50 Hz
    resampled = Pipeline(program, StreamSettings(resample="linear", source_rate_hz=100.0), whole_start=True)
    assert [step for step, _, _ in feed(resampled, frames)] == [0, 20, 40, 60]
    assert resampled.steps == 80
    chunks = [Chunk(frame, place * 10_000_000, 0, 0) for place, frame in enumerate(frames * 4)]
    measured = Pipeline(program, StreamSettings(resample="linear"), whole_start=True)
    for chunk in chunks:
        measured.feed(chunk)
    assert measured.decoder.rate.rate_hz == pytest.approx(100.0)
    assert measured.decoder.measuring == pytest.approx(200, abs=3)  # two seconds
    assert measured.steps == pytest.approx((640 - 200) / 2, abs=3)
    assert measured.decoder.rate_complaint() is None
    with pytest.raises(ConfigError, match="resample needs the rate"):
        Pipeline(larger_channel(), StreamSettings(resample="linear"))


def test_the_drift_of_the_boards_clock_is_known_and_forgotten_at_a_restart() -> None:
    pipeline = Pipeline(larger_channel(), StreamSettings(), whole_start=True)
    for place in range(300):
        packet = encode_packet(place, round(place * 100_000 * 1.0002), [1.0, 0.0, 0.0])
        pipeline.feed(Chunk(packet, place * 100_000_000, 0, 0))
    assert pipeline.decoder.clock_fit.drift_ppm == pytest.approx(200, abs=1)
    pipeline.feed(Chunk(encode_packet(0, 0, [1.0, 0.0, 0.0]), 300 * 100_000_000, 0, 0))
    assert pipeline.decoder.sequence.restarts == 1
    assert pipeline.decoder.clock_fit.drift_ppm is None


def test_the_dirty_style_of_real_boards_is_parsed_or_counted_and_never_misread() -> None:
    gestures = np.array_split(turns(4), 4)
    sent = b"3,0.5\r\n\x1b[2J\x1b[1;1H\r\nMPU6050 ready, range 2 g, 50 Hz\r\nax,ay,az\r\n[g],[g],[g]\r\n"
    for number, samples in enumerate(gestures, 1):
        sent += f"--- gesture {number} ---\r\n\r\r\n".encode() + b"".join(csv_frames(samples)) + b"-,-,-\r\n\r\n"
    sent += b"1.0g,0.0g,0.0g\r\n0,1"  # a unit in each field; a line that never ends
    for how in (StreamSettings(), StreamSettings(format="csv")):
        pipeline = Pipeline(larger_channel(), how)
        found = [label for _, label, _ in feed(pipeline, [sent[k : k + 7] for k in range(0, len(sent), 7)])]
        assert found == ["first", "second", "first", "second"]
        counts = {kind: count for kind, count in pipeline.counts().items() if count}
        assert counts == {"samples": 40, "partial": 1, "text": 4 + 2 * 4 + 1}
