"""Small models and sources for the tests of the stream."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription, StateSlot, Window
from edgernn.program.metadata import DecisionSettings, Metadata
from edgernn.program.operations import (
    DelayLine,
    Dense,
    Gru,
    Lookup,
    Rearrange,
    Reduce,
    Schedule,
    Softmax,
    StateRegion,
    Unary,
)
from edgernn.program.program import Program
from edgernn.runtime.runner import Runner

CHANNELS = 3


def larger_channel(
    *, rate_hz: float | None = None, decision: DecisionSettings | None = None, softmax: bool = True
) -> Program:
    """Says which of the first two channels is larger: labels "first" and "second". Has no state."""
    operations = [Dense(name="dense", inputs=("x",), outputs=("logits",), W="W")]
    if softmax:
        operations.append(Softmax(name="softmax", inputs=("logits",), outputs=("scores",)))
    description = ProgramDescription(
        inputs=(InputDescription("x", (CHANNELS,)),),
        outputs=(OutputDescription("scores", "scores" if softmax else "logits", per_frame=True),),
        operations=tuple(operations),
        metadata=Metadata(
            labels=("first", "second"), rate_hz=rate_hz, decision=decision or DecisionSettings(threshold=0.8)
        ),
    )
    return Program(description, {"W": np.array([[5, 0, 0], [0, 5, 0]], np.float32)})


def largest_channel() -> Program:
    """Says which of the channels x, y and z is the largest: rest, wave or circle. Has no state."""
    description = ProgramDescription(
        inputs=(InputDescription("x", (3,)),),
        outputs=(OutputDescription("scores", "scores", per_frame=True),),
        operations=(
            Dense(name="dense", inputs=("x",), outputs=("logits",), W="W"),
            Softmax(name="softmax", inputs=("logits",), outputs=("scores",)),
        ),
        metadata=Metadata(
            labels=("rest", "wave", "circle"), channels=("x", "y", "z"), rate_hz=50.0, decision=DecisionSettings()
        ),
    )
    return Program(description, {"W": np.eye(3, dtype=np.float32)})


def random_gru(*, trained_steps: int | None = None, metadata: Metadata | None = None) -> Program:
    """A GRU of eight units with three scores of the last state."""
    random = np.random.default_rng(5)
    H, K = 8, 3
    weights = {
        name: random.uniform(-1, 1, shape).astype(np.float32)
        for name, shape in {"W": (3 * H, CHANNELS), "R": (3 * H, H), "B": (6 * H,), "V": (K, H)}.items()
    }
    weights["V"] *= 4
    description = ProgramDescription(
        inputs=(InputDescription("x", (CHANNELS,)),),
        outputs=(OutputDescription("scores", "scores", per_frame=False),),
        state=(StateSlot("h", (H,)),),
        operations=(
            Gru(
                name="gru",
                inputs=("x",),
                outputs=("y",),
                W="W",
                R="R",
                B="B",
                h=StateRegion("h"),
                linear_before_reset=True,
            ),
            Dense(name="dense", inputs=("y",), outputs=("logits",), W="V"),
            Softmax(name="softmax", inputs=("logits",), outputs=("scores",)),
        ),
        trained_steps=trained_steps,
        metadata=metadata or Metadata(labels=("a", "b", "c"), decision=DecisionSettings(threshold=0.5, release=0.45)),
    )
    return Program(description, weights)


class LookAhead:
    """Runs a program and gives its outputs `delay` steps later; the last ones only when flushed."""

    def __init__(self, program: Program, delay: int) -> None:
        self._runner = Runner(program)
        self._delay = delay
        self._waiting = np.zeros((0, *program.outputs[0].shape), np.float32)

    def run(self, X: NDArray[np.float32], *, index: bool) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        known = np.concatenate([self._waiting, self._runner.run(X)])
        count = max(0, len(known) - self._delay)
        self._waiting = known[count:]
        return known[:count], np.arange(len(X) - count, len(X))

    def run_into(self, X: NDArray[np.float32], Y: NDArray[np.float32], indices: NDArray[np.int64]) -> int:
        found, steps = self.run(X, index=True)
        Y[: len(found)], indices[: len(found)] = found, steps
        return len(found)

    def flush(self) -> NDArray[np.float32]:
        return self._waiting

    def reset(self) -> None:
        self._runner.reset()
        self._waiting = self._waiting[:0]

    def state_is_finite(self) -> bool:
        return True


def turns(count: int, length: int = 10) -> NDArray[np.float64]:
    """Samples (count * length, 3): `length` in which the first channel is larger, then the second, and so on."""
    samples = np.zeros((count * length, CHANNELS))
    for turn in range(count):
        samples[turn * length : (turn + 1) * length, turn % 2] = 1.0
    return samples


class ManualClock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        return 1_700_000_000_000_000_000 + self.now_ns

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


def two_frames(window: Window | None = None) -> Program:
    """Each step gives two frames, the sigmoids of x and of -x, with the frames behind the scores: (2, 2)."""
    description = ProgramDescription(
        inputs=(InputDescription("x", (2,)),),
        outputs=(OutputDescription("scores", "scores", per_frame=True, time_axis=1, frames=2),),
        operations=(
            Dense(name="both", inputs=("x",), outputs=("both",), W="W"),
            Unary(name="sigmoid", inputs=("both",), outputs=("flat",), function="Sigmoid"),
            Rearrange(name="shape", inputs=("flat",), outputs=("scores",), shape=(2, 2)),
        ),
        window=window,
        metadata=Metadata(labels=("first", "second")),
    )
    return Program(description, {"W": np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], np.float32)})


def looks_ahead(taps: int = 7, stride: int = 2) -> Program:
    """The mean of `taps` frames around each `stride`-th one as a sigmoid, zeros outside; and x at once, as "now"."""
    ahead = taps // 2
    read = Schedule(ahead, stride, stride - 1)
    description = ProgramDescription(
        inputs=(InputDescription("x", (2,)),),
        outputs=(
            OutputDescription("scores", "scores", per_frame=True, when=read),
            OutputDescription("now", "now", per_frame=True),
        ),
        state=(StateSlot("ring", (taps, 2)), StateSlot("position", (1,), "int32")),
        operations=(
            Unary(name="now", inputs=("x",), outputs=("now",), function="Tanh"),
            DelayLine(
                name="history",
                inputs=("x",),
                outputs=("taps",),
                ring=StateRegion("ring"),
                position=StateRegion("position"),
                length=taps,
                taps=taps,
                size=2,
                read=read,
            ),
            Reduce(name="mean", inputs=("taps",), outputs=("mean",), function="Mean", when=read),
            Unary(name="sigmoid", inputs=("mean",), outputs=("scores",), function="Sigmoid", when=read),
        ),
        tail_steps=ahead,
        metadata=Metadata(labels=("first", "second"), rate_hz=50.0),
    )
    return Program(description, {})


def next_letter(rows: int = 5) -> Program:
    """A score for each of `rows` ids, the highest for the one that came."""
    description = ProgramDescription(
        inputs=(InputDescription("id", (1,), "int32"),),
        outputs=(OutputDescription("scores", "scores", per_frame=True),),
        operations=(
            Lookup(name="lookup", inputs=("id",), outputs=("logits",), table="table"),
            Softmax(name="softmax", inputs=("logits",), outputs=("scores",)),
        ),
        metadata=Metadata(labels=tuple("abcdefgh"[:rows]), decision=DecisionSettings(threshold=0.8)),
    )
    return Program(description, {"table": 9 * np.eye(rows, dtype=np.float32)})
