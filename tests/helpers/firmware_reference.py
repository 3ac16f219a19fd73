"""What the NumPy reference gives for long streams of an int8 program, many stretches of the stream at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgernn.program.operations import Rearrange
from edgernn.program.program import Program
from edgernn.reference.arguments import Arguments
from edgernn.reference.operations import REFERENCES
from edgernn.runtime.runner import Runner

Integers = NDArray[np.int64]


class Flat(NamedTuple):
    """A state of many streams (streams, size), for code that flattens the state of one and takes a part of it."""

    content: Integers

    def reshape(self, _: int) -> Parts:
        return Parts(self.content)


class Parts(NamedTuple):
    content: Integers

    def __getitem__(self, part: Any) -> Integers:  # type: ignore[override]
        return self.content[:, part]


def long_outputs(program: Program, inputs: Mapping[str, NDArray[Any]], stretch_steps: int = 200) -> dict[str, Integers]:
    """The integers that the reference gives for a stream (steps, channels), as arrays (frames, size).

    Every step of every stretch is computed by the reference. A stretch begins with the states that the compiled runner
    had there, and must end with those of the next one, so that none of them can be wrong if the first is right.
    """
    assert program.takes_counts
    (counts,) = inputs.values()
    window = program.window
    if window is not None:
        begins = np.arange(0, len(counts) - window.steps + 1, window.hop)
        index = begins[:, None] + np.arange(window.steps)
        frames = np.stack(list(_run(program, counts[index], _initial(program, len(begins)))), axis=1)
        outputs = frames if program.description.outputs[0].per_frame else frames[:, -1]
        return {program.outputs[0].name: outputs.reshape(len(begins), -1)}
    steps = stretch_steps if program.state else 1
    stretches = counts.reshape(-1, steps, counts.shape[1])
    starts, end = _states_of_runner(program, stretches)
    states = {name: content.copy() for name, content in starts.items()}
    frames = np.stack(list(_run(program, stretches, states)), axis=1)
    for name, first in _initial(program, 1).items():
        np.testing.assert_array_equal(starts[name][:1], first)
        np.testing.assert_array_equal(states[name], np.concatenate([starts[name][1:], end[name]]))
    return {program.outputs[0].name: frames.reshape(len(counts), -1)}


def _initial(program: Program, streams: int) -> dict[str, Integers]:
    states = {}
    for slot in program.state:
        content = np.zeros(slot.size) if slot.initial is None else program.weights[slot.initial].ravel()
        states[slot.name] = np.tile(content.astype(np.int64), (streams, 1))
    return states


def _states_of_runner(program: Program, stretches: NDArray[Any]) -> tuple[dict[str, Integers], dict[str, Integers]]:
    """The states of the compiled runner where each stretch begins, and at the end, (stretches or 1, size) each."""
    if not program.state:
        return {}, {}
    runner = Runner(program)
    memory = runner._memory
    states = []
    for stretch in [*stretches, []]:
        slots = {place.name: place.view(memory.state)[0] for place in memory.plan.slots}
        states.append({name: content.ravel().astype(np.int64) for name, content in slots.items()})
        for sample in stretch:
            runner.step_raw(sample)
    stacked = {name: np.stack([state[name] for state in states]) for name in states[0]}
    return {name: s[:-1] for name, s in stacked.items()}, {name: s[-1:] for name, s in stacked.items()}


def _run(program: Program, samples: NDArray[Any], states: dict[str, Integers]) -> Iterator[Integers]:
    """Step many streams (streams, steps, channels), whose states change; the output of each step (streams, ...)."""
    weights = {
        name: array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
        for name, array in program.weights.items()
    }
    arguments = Arguments(program, weights)
    state: Any = {name: Flat(content) for name, content in states.items()}
    for step in range(samples.shape[1]):
        values: dict[str, Any] = {program.inputs[0].name: samples[:, step].astype(np.int64)}
        for operation in program.operations:
            operands = [values[name] for name in operation.inputs]
            if isinstance(operation, Rearrange):
                joined = np.concatenate([value.reshape(len(samples), -1) for value in operands], axis=1)
                indices = slice(None) if operation.indices is None else weights[operation.indices]
                result = joined[:, indices].reshape(len(samples), *operation.shape)
            else:
                (result,) = arguments.call(REFERENCES[type(operation)], operation, operands, state, raw=True)
            values[operation.outputs[0]] = result
        yield values[program.description.outputs[0].value]
