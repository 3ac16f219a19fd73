"""The whole stream as a benchmark target: from a sample's last byte to its decision, from memory or a serial port."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np

from edgernn.errors import InputError, SourceError
from edgernn.latency.pacing import Pacing
from edgernn.latency.recorder import LatencyRecorder
from edgernn.latency.targets import SETTLING_STEPS, random_frames
from edgernn.program.program import Program
from edgernn.stream.clock import Clock, SystemClock
from edgernn.stream.config import StreamSettings
from edgernn.stream.sources.base import Chunk, Source
from edgernn.stream.sources.serial_port import DEFAULT_BAUD, SerialSource
from edgernn.stream.sources.virtual_port import csv_frames
from edgernn.stream.stream import Stream

SETTINGS = StreamSettings(raw_scores=True, allow_rate=True, reconnect=False)
PATIENCE_READS = 50  # without a sample, about 5 s


class ScheduledSource(Source):
    """Gives the frames that are due by now in one read, as a port gives the bytes that are waiting.

    Attributes
    ----------
    taken : int
        Frames of this turn that were read.
    started_ns : int
        When the last read returned.
    """

    live = False
    whole_start = True

    def __init__(self, frames: Sequence[bytes], clock: Clock) -> None:
        super().__init__("schedule", clock)
        self.taken = self.started_ns = 0
        self._frames = frames
        self._before = self._steps = 0  # frames of the turns before, and of this turn
        self._schedule: Pacing | None = None

    def begin(self, steps: int, schedule: Pacing | None) -> None:
        """The next `steps` frames are due on a schedule, or all at once."""
        self._before += self._steps
        self._steps, self._schedule, self.taken = steps, schedule, 0

    def open(self) -> None:
        """Nothing is needed."""

    def read(self, timeout_s: float) -> Chunk | None:
        first, schedule, frames = self.taken, self._schedule, self._frames
        if schedule is None:
            self.taken = self._steps
            due_ns = self.clock.monotonic_ns()
        else:
            schedule.wait(first)
            late_ns = self.clock.monotonic_ns() - schedule.begin_ns
            self.taken = min(late_ns // schedule.period_ns + 1, self._steps)
            due_ns = schedule.due_ns(self.taken - 1)
        data = b"".join(frames[k % len(frames)] for k in range(self._before + first, self._before + self.taken))
        wall_ns = self.clock.wall_ns()
        self.started_ns = self.clock.monotonic_ns()
        return Chunk(data, due_ns, wall_ns, due_ns)

    def close(self) -> None:
        """Nothing is held."""


class StreamTarget:
    """A `Stream` that reads frames from memory when they are due.

    Parameters
    ----------
    program : Program
    clock : Clock, optional
    runner : optional
        Runs the program instead of a `Runner`.

    Raises
    ------
    InputError
        The model has several inputs, or one that is no number of a sensor.
    """

    name = "edgernn stream"

    def __init__(self, program: Program, clock: Clock | None = None, runner: Any = None) -> None:
        self._source = ScheduledSource(sensor_frames(program), clock or SystemClock())
        self._stream = Stream(program, self._source, SETTINGS, format_name="csv", on_notice=_ignore, runner=runner)
        self._reads = self._stream.open().reads()

    def time_slice(self, steps: int, schedule: Pacing, recorder: LatencyRecorder) -> None:
        source, reads, now_ns = self._source, self._reads, schedule.clock.monotonic_ns
        source.begin(SETTLING_STEPS, None)
        next(reads)
        schedule.restart()
        source.begin(steps, schedule)
        done = 0
        while done < steps:
            next(reads)
            finished_ns = now_ns()
            for k in range(done, source.taken):
                recorder.add(schedule.due_ns(k), source.started_ns, finished_ns)
                if recorder.is_full:
                    since_ns = now_ns()
                    recorder.absorb()
                    schedule.hold(since_ns, source.taken)
            done = source.taken

    def close(self) -> None:
        self._stream.close()


class VirtualPortTarget:
    """A `Stream` that reads a virtual serial port, into which a process of its own sends samples on schedule.

    A sample is due when the board has sent its last byte.
    """

    name = "edgernn virtual port"

    def __init__(self, program: Program, baud: int = DEFAULT_BAUD) -> None:
        frames = [frame.decode() for frame in sensor_frames(program)]
        self._board = subprocess.Popen(
            [sys.executable, "-m", "edgernn.latency.board"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is not for it
        )
        try:
            self._tell(frames)
            source = SerialSource(self._answer(), baud=baud)
            self._stream = Stream(program, source, SETTINGS, format_name="csv", on_notice=_ignore).open()
        except BaseException:
            self._end_board()
            raise
        self._samples = _samples_read(self._stream)

    def _tell(self, words: object) -> None:
        pipe: IO[str] | None = self._board.stdin
        assert pipe is not None
        pipe.write(json.dumps(words) + "\n")
        pipe.flush()

    def _answer(self) -> Any:
        assert self._board.stdout is not None
        line = self._board.stdout.readline()
        if not line:
            raise SourceError(f"the board of the virtual port ended with status {self._board.wait()}")
        return json.loads(line)

    def time_slice(self, steps: int, schedule: Pacing, recorder: LatencyRecorder) -> None:
        self._play(SETTLING_STEPS, 0)
        sent_ns, times_ns = self._play(steps, schedule.period_ns)
        for due_ns, (started_ns, finished_ns) in zip(sent_ns, times_ns, strict=True):
            if recorder.is_full:
                recorder.absorb()
            recorder.add(due_ns, started_ns, finished_ns)

    def _play(self, steps: int, period_ns: int) -> tuple[list[int], list[tuple[int, int]]]:
        """Let the board send samples; when it had sent each, and when its bytes and its decision were there."""
        self._tell([steps, period_ns])
        times_ns = [next(self._samples) for _ in range(steps)]
        return self._answer(), times_ns

    def close(self) -> None:
        self._stream.close()
        self._end_board()

    def _end_board(self) -> None:
        self._board.terminate()
        self._board.communicate()


class PortTarget:
    """A `Stream` that reads a serial port to which a board sends at its own pace.

    What the board's schedule is cannot be known here: a sample is due when this process had its bytes.
    """

    name = "edgernn port"

    def __init__(self, program: Program, device: str, baud: int = DEFAULT_BAUD) -> None:
        self._stream = Stream(program, SerialSource(device, baud=baud), SETTINGS, on_notice=_ignore).open()
        self._samples = _samples_read(self._stream)

    def time_slice(self, steps: int, schedule: Pacing, recorder: LatencyRecorder) -> None:
        for _ in range(steps):
            received_ns, finished_ns = next(self._samples)
            if recorder.is_full:
                recorder.absorb()
            recorder.add(received_ns, received_ns, finished_ns)

    def close(self) -> None:
        self._stream.close()


def sensor_frames(program: Program) -> list[bytes]:
    """Random samples in the model's units as a board sends them: lines of numbers.

    Raises
    ------
    InputError
        The model has several inputs, or one that is no number of a sensor.
    """
    if len(program.inputs) != 1:
        raise InputError(f"a stream feeds models with one input, this one has {len(program.inputs)}: profile its step")
    (rows,), metadata = random_frames(program).values(), program.metadata
    samples = rows.reshape(len(rows), -1).astype(np.float64)  # (SAMPLES, channels)
    if metadata.std:
        samples = samples * metadata.std + metadata.mean
    return list(csv_frames(samples))


def _samples_read(stream: Stream) -> Iterator[tuple[int, int]]:
    """For each sample of a stream when its bytes were there and when it was decided on."""
    steps, vain = stream.pipeline.steps, 0
    for _ in stream.reads():
        finished_ns = stream.source.clock.monotonic_ns()
        vain = vain + 1 if stream.pipeline.steps == steps else 0
        if vain > PATIENCE_READS:
            raise SourceError(f"no samples come from {stream.source.name}")
        for _ in range(stream.pipeline.steps - steps):
            yield stream.received_ns, finished_ns
        steps = stream.pipeline.steps
    raise SourceError(f"{stream.source.name} has ended")


def _ignore(text: str) -> None:
    """A profile is no place for a stream's notices."""
