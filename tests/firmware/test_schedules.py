"""Schedules in C: conditions, the counter that never overflows, streams of every length with their tails, refusals."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from firmware_step_programs import PROGRAMS, Builder
from hypothesis import given, settings
from hypothesis import strategies as st
from small_programs import uniform

from edgernn.errors import ExportError, MalformedModelError
from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription, Window
from edgernn.program.encoding import RepeatHeader
from edgernn.program.operations import EVERY_STEP, ConstantValue, Dense, PutFrame, Schedule, TakeFrame, Unary
from edgernn.program.program import Program
from edgernn.reference.runner import ReferenceRunner
from firmware_export.generate import CModel
from firmware_export.host import make_golden
from firmware_export.schedules import StepCounter

schedules = st.builds(
    Schedule,
    first=st.integers(0, 5),
    period=st.integers(1, 4),
    extra=st.integers(-3, 6),
    at_end=st.sampled_from([False, False, True]),
)


def clock_of(tail_steps: int, *whens: Schedule) -> StepCounter:
    """The clock of a program with these schedules."""
    operations = tuple(
        ConstantValue(name=f"c{k}", inputs=(), outputs=(f"y{k}",), weight_name="W", when=when)
        for k, when in enumerate((EVERY_STEP, *whens))
    )
    description = ProgramDescription(
        inputs=(InputDescription("x", (1,)),),
        outputs=(OutputDescription("y", "y0", per_frame=False),),
        operations=operations,
        tail_steps=tail_steps,
    )
    return StepCounter(Program(description, {"W": np.ones(1, np.float32)}))


def holds(clock: StepCounter, schedule: Schedule, step: int, ended: int) -> bool:
    """What C makes of a condition."""
    text = clock.condition(clock.when(schedule)).replace("&&", "and").replace("u", "")
    return bool(eval(text, {"step": step, "ended": ended})) if text else True


def steps_of(clock: StepCounter, schedule: Schedule, length: int) -> list[int]:
    """Steps of a stream of some length, and of its tail, in which C has a condition hold."""
    counter, found = 0, []
    for step in range(length):
        assert counter < clock.limit
        if holds(clock, schedule, counter, 0):
            found.append(step)
        counter = counter + 1 if counter + 1 < clock.limit else clock.limit - clock.cycle
    tail = range(1, clock.tail_steps + 1)
    return found + [length - 1 + k for k in tail if holds(clock, schedule, counter + k - 1, k)]


def truth(schedule: Schedule, length: int, tail_steps: int) -> list[int]:
    """The same by the definition of a schedule."""
    going = [step for step in range(length) if schedule.happens(step, None, tail_steps)]
    tail = range(length, length + tail_steps)
    return going + [step for step in tail if schedule.happens(step, length, tail_steps)]


@settings(max_examples=300)
@given(schedules, schedules, st.integers(0, 6), st.integers(0, 60))
def test_conditions_are_those_of_the_schedule(one: Schedule, other: Schedule, tail_steps: int, length: int) -> None:
    clock = clock_of(tail_steps, one, other)
    for schedule in (one, other):
        assert steps_of(clock, schedule, length) == truth(schedule, length, tail_steps)


@settings(max_examples=500)
@given(schedules, schedules, st.integers(0, 6))
def test_a_value_is_there_whenever_it_is_read(writer: Schedule, reader: Schedule, tail_steps: int) -> None:
    clock = clock_of(tail_steps, writer, reader)
    if clock.covers(clock.when(writer), clock.when(reader)):
        for length in range(40):
            assert set(truth(reader, length, tail_steps)) <= set(truth(writer, length, tail_steps))


def test_the_usual_schedules_cover_each_other() -> None:
    late, slow = Schedule(first=1), Schedule(first=3, period=2, extra=-1)
    clock = clock_of(2, late, slow)
    for outer, inner in ((EVERY_STEP, EVERY_STEP), (late, late), (late, slow)):
        assert clock.covers(clock.when(outer), clock.when(inner))
    for outer, inner in ((EVERY_STEP, late), (slow, late)):
        assert not clock.covers(clock.when(outer), clock.when(inner))
    whole = Schedule(at_end=True)
    clock = clock_of(1, late, whole)
    assert clock.covers(clock.when(late), clock.when(whole))
    assert not clock.covers(clock.when(whole), clock.when(late))


DRIVER = """
#define MODEL_IMPLEMENTATION
#include "model.h"
#include <stdio.h>

static model_state state;
static float x[{size}];
{buffers}

static void print(int number, int frames, const float *y, int count) {{
    if (!frames) return;
    printf("%d", number);
    for (int k = 0; k < count; k++) printf(" %.9g", (double)y[k]);
    printf("\\n");
}}

int main(void) {{
    for (int length = 0; length < {lengths}; length++) {{
        printf("length\\n");
        model_reset(&state);
        for (int step = 0; step < length; step++) {{
            for (int k = 0; k < {size}; k++) x[k] = (float)((step * {size} + k) * 37 % 101 - 50) / 32.0f;
            const int frames = model_step(&state, x, {arguments});
            (void)frames;
            {prints}
        }}
        {flush}
    }}
    return 0;
}}
"""
LENGTHS = 13


def driver(model: CModel) -> str:
    """C that prints what streams of every length give, with their ends."""
    step = model.step

    def prints(frames: str) -> str:
        lines = []
        for k, port in enumerate(model.program.outputs):
            new = f"state.new_frames[{k}]" if model.tells_new else frames
            lines.append(f"print({k}, {new}, {step.outputs[port.name]}, {port.size});")
        return " ".join(lines)

    flushed = ", ".join(["&state", *(step.outputs[output.name] for output in model.flushed)])
    after = "if (model_step(&state, x, {}) != 0) return 1;".format(", ".join(step.outputs.values()))
    return DRIVER.format(
        size=model.program.inputs[0].size,
        lengths=LENGTHS,
        buffers="\n".join(f"static float {step.outputs[p.name]}[{p.size}];" for p in model.program.outputs),
        arguments=", ".join(step.outputs.values()),
        prints=prints("frames"),
        flush=f"while (model_flush({flushed})) {{ {prints('1')} }} {after}" if model.flushes else "",
    )


@pytest.mark.parametrize(
    "name",
    [
        "delayed",
        "delayed_flush",
        "delayed_frames",
        "delayed_whole",
        "padded",
        "strided",
        "strided_pairs",
        "window_delayed",
    ],
)
def test_streams_of_every_length_end_as_those_of_the_reference(
    name: str, needs_tool: Callable[[str], str], tmp_path: Path
) -> None:
    needs_tool("gcc")
    program = PROGRAMS[name]
    model = CModel(program, "model")
    (tmp_path / "model.h").write_text(model.text)
    (tmp_path / "driver.c").write_text(driver(model))
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-ffp-contract=off"]
    command = ["gcc", "-Wall", "-Wextra", "-Werror", *sanitizers, "driver.c", "-o", "driver"]
    subprocess.run(command, cwd=tmp_path, check=True)
    text = subprocess.run([tmp_path / "driver"], check=True, capture_output=True, text=True).stdout
    found = [part.splitlines()[1:] for part in text.split("length")[1:]]
    assert len(found) == LENGTHS
    outputs = [port.name for port in program.outputs]
    size, frames_in_all = program.inputs[0].size, 0
    for length, lines in enumerate(found):
        reference = ReferenceRunner(program, np.float64)
        rows = (np.arange(length * size).reshape(length, size) * 37 % 101 - 50) / 32
        expected: dict[str, list[np.ndarray]] = {output: [] for output in outputs}
        for row in rows:
            frame = reference.step(row)
            for output, array in (frame if isinstance(frame, dict) else {outputs[0]: frame}).items():
                expected[output] += [] if array is None else [array.ravel()]
        for output, frames in reference.flush().items():
            expected[output] += [array.ravel() for array in frames]
        for number, output in enumerate(outputs):
            own = [line.split()[1:] for line in lines if int(line.split()[0]) == number]
            assert len(own) == len(expected[output]), (length, output)
            frames_in_all += len(own)
            if own:
                np.testing.assert_allclose(np.array(own, float), expected[output], rtol=1e-5, atol=1e-5)
    assert frames_in_all > LENGTHS // 2


def test_what_does_not_live_within_a_step_is_refused() -> None:
    slow = Schedule(first=1, period=2)
    b = Builder()
    b.add(Dense, "slow", "x", W=uniform(b.rng, (2, 2), 1.0), when=slow)
    b.give(b.add(Unary, "y", "slow", function="Tanh"))
    with pytest.raises(MalformedModelError, match=r"y .*reads slow in steps in which it is not written"):
        b.program(2)
    b = Builder()
    b.give(b.add(Dense, "slow", "x", W=uniform(b.rng, (2, 2), 1.0), when=slow))
    with pytest.raises(MalformedModelError, match="slow_out comes in steps in which slow is not written"):
        b.program(2)
    b = Builder()
    b.add(Dense, "six", "x", W=uniform(b.rng, (6, 2), 1.0))
    b.add(RepeatHeader, "loop", outputs=(), count=6, body=3)
    b.add(TakeFrame, "one", "six", loop="loop")
    b.add(PutFrame, "all", "one", loop="loop", count=6)
    b.give(b.add(Unary, "y", "all", function="Tanh"))
    with pytest.raises(ExportError, match="y reads all before all its frames are there"):
        CModel(b.program(2), "model")


def test_a_repeat_whose_body_has_other_steps_is_refused() -> None:
    odd, third = Schedule(first=1, period=2), Schedule(first=2, period=3)
    b = Builder()
    b.add(Dense, "two", "x", W=uniform(b.rng, (2, 2), 1.0))
    b.add(RepeatHeader, "loop", outputs=(), count=2, body=1, when=odd)
    b.add(TakeFrame, "one", "two", loop="loop", when=third)
    b.give("two")
    with pytest.raises(MalformedModelError, match=r"one .*does not keep to the steps of loop"):
        b.program(2)


def test_periods_that_no_counter_can_count_are_refused() -> None:
    b = Builder()
    for number, period in enumerate((1 << 20, (1 << 20) - 1)):
        when = Schedule(period=period)
        b.give(b.add(Dense, f"d{number}", "x", W=uniform(b.rng, (2, 2), 1.0), when=when), when)
    with pytest.raises(ExportError, match="repeats itself only every 1099510579200 steps"):
        CModel(b.program(2), "model")


def test_a_window_that_is_too_short_for_an_output_is_refused() -> None:
    program = PROGRAMS["strided"]
    with pytest.raises(MalformedModelError, match=r"too short for output (slow_out|pairs_out)"):
        program.with_window(2, 1)


def test_a_recomputed_window_has_one_state() -> None:
    model = CModel(PROGRAMS["looped"], "model")
    assert model.copies == 1
    assert not model.windowed
    assert PROGRAMS["looped"].window == Window(5, 3, recomputed=True)


def test_the_copy_of_the_states_shows_in_the_memory() -> None:
    with_copy, without = CModel(PROGRAMS["delayed"], "model"), CModel(PROGRAMS["delayed_flush"], "model")
    assert with_copy.state_bytes - without.state_bytes >= with_copy.slots_bytes > 0


def test_sums_of_ten_million_numbers_and_a_count_that_stays(needs_tool: Callable[[str], str], tmp_path: Path) -> None:
    needs_tool("gcc")
    b = Builder()
    for function in ("Sum", "Mean"):
        b.give(b.mean(function, "x", 1, EVERY_STEP, function))
    (tmp_path / "model.h").write_text(CModel(b.program(1), "model").text)
    (tmp_path / "driver.c").write_text("""
#define MODEL_IMPLEMENTATION
#include "model.h"
#include <stdio.h>

int main(void) {
    static model_state state;
    float x, sum, mean = 0.0f;
    model_reset(&state);
    for (int step = 0; step < 10000000; step++) {
        x = (float)(step % 1000) + 0.1f;
        model_step(&state, &x, &sum, &mean);
    }
    printf("%.9g %.9g\\n", (double)sum, (double)mean);
    state.slots[0].Mean_count[0] = INT32_MAX - 1;
    state.slots[0].Mean_total[0].high = 5.0f * 2147483648.0f / 4294967296.0f; /* sums are kept 2^-32 as large */
    state.slots[0].Mean_total[0].low = 0.0f;
    x = 7.0f;
    for (int step = 0; step < 1000000; step++) model_step(&state, &x, &sum, &mean);
    printf("%.9g %ld\\n", (double)mean, (long)state.slots[0].Mean_count[0]);
    return 0;
}
""")
    subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "driver.c", "-o", "driver"], cwd=tmp_path, check=True)
    lines = subprocess.run([tmp_path / "driver"], check=True, capture_output=True, text=True).stdout.split()
    numbers = np.arange(1000).astype(np.float32) + np.float32(0.1)
    exact = float(numbers.astype(np.float64).sum()) * 10_000
    assert float(lines[0]) == pytest.approx(exact, rel=1e-7)
    assert float(lines[1]) == pytest.approx(exact / 1e7, rel=2e-7)
    # behind the largest count a mean moves on slowly: 5 + 2 (1 - (1 - 1 / 2^31)^1000000)
    assert float(lines[2]) == pytest.approx(5.00093, abs=1e-5)
    assert int(lines[3]) == 2**31 - 1


def test_golden_steps_reach_the_second_frame() -> None:
    b = Builder()
    slow = Schedule(first=30, period=40)
    b.give(b.add(Dense, "slow", "x", W=uniform(b.rng, (2, 2), 1.0), when=slow), slow)
    golden = make_golden(b.program(2))
    assert golden.steps == 71
    assert golden.outputs["slow_out"].shape == (2, 2)


def test_a_stream_is_the_same_behind_a_million_steps(needs_tool: Callable[[str], str], tmp_path: Path) -> None:
    """The beat of three outputs goes on when the counter has been set back thousands of times."""
    needs_tool("gcc")
    program = PROGRAMS["strided"]
    model = CModel(program, "model")
    (tmp_path / "model.h").write_text(model.text)
    (tmp_path / "driver.c").write_text("""
#define MODEL_IMPLEMENTATION
#include "model.h"

int main(void) {
    static model_state state;
    float x[2] = {0.5f, -0.5f}, fast[2], slow[3], pairs[4];
    model_reset(&state);
    for (long step = 0; step < 1000000; step++) {
        model_step(&state, x, fast, slow, pairs);
        if (state.new_frames[0] != 1 || state.new_frames[1] != (step >= 2 && (step - 2) % 3 == 0)) return 1;
        if (state.new_frames[2] != 2 * (step >= 5 && (step - 5) % 6 == 0)) return 2;
    }
    return 0;
}
""")
    subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "driver.c", "-o", "driver"], cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "driver"], check=False).returncode == 0


def test_number_types_without_c_form_are_named() -> None:
    b = Builder()
    b.give(b.add(Dense, "y", "x", W=uniform(b.rng, (2, 2), 1.0)))
    program = b.program(2)
    wide = msgspec.structs.replace(
        program.description, inputs=(*program.description.inputs, InputDescription("id", (1,), "int64"))
    )
    with pytest.raises(ExportError, match="id is int64, which cannot be written as C"):
        CModel(Program(wide, program.weights), "model")
