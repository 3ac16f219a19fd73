"""Steps a float program and its int8 program side by side over recordings, and measures what differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.program import fixed_point
from edgernn.program.description import StateSlot
from edgernn.program.operations import AnyOperation, Int8RunningSoftmax, Int32StateUpdate, IntegerOperation, Quantize
from edgernn.program.program import Program
from edgernn.program.streamed import as_run
from edgernn.quantizer.calibration import (
    PROGRESS_STEPS,
    Calibration,
    Progress,
    Recording,
    count_steps,
    normalise,
    read_recordings,
    steps_to_reset,
)
from edgernn.quantizer.report import LayerReport, QuantizationReport
from edgernn.reference.runner import ReferenceRunner

Array: TypeAlias = NDArray[Any]

NO_NOISE_DB = 200.0  # the signal-to-noise ratio that is reported for equal values


def compare(
    program: Program,
    int8: Program,
    recordings: Calibration,
    on_progress: Progress = lambda done, total: None,
) -> QuantizationReport:
    """Step the float program in float64 and the int8 program in integers over recordings in raw sensor units.

    A windowed program is compared on windows that follow one another.

    Parameters
    ----------
    program, int8 : Program
        As given to and returned by `quantize`.
    recordings : array, path, or list of these
        As for `quantize`.
    on_progress : callable, optional
        Told now and then how many of how many steps are compared.

    Raises
    ------
    QuantizationError
        A recording does not fit.
    """
    program, int8 = as_run(program), as_run(int8)
    checked = read_recordings(program, recordings)
    return compare_checked(program, int8, checked, on_progress)


def compare_checked(
    program: Program,
    int8: Program,
    checked: Sequence[Recording],
    on_progress: Progress = lambda done, total: None,
) -> QuantizationReport:
    """As `compare`, with what `read_recordings` gives, or parts of that."""
    steps = [count_steps(recording) for recording in checked]
    comparison = _Comparison(program, int8, lambda done: on_progress(done, sum(steps)))
    longest = steps.index(max(steps))
    for number, recording in enumerate(checked):
        comparison.run(normalise(program, recording), number == longest)
    on_progress(sum(steps), sum(steps))
    return comparison.report(len(checked))


class _Comparison:
    def __init__(self, program: Program, int8: Program, on_step: Callable[[int], None]) -> None:
        self._program, self._int8, self._on_step = program, int8, on_step
        self._steps = 0
        self._reset_steps = steps_to_reset(program)
        self._window_steps = None if program.staggered is None else program.staggered.steps
        self._written: dict[str, Array] = {}
        self._produced: dict[str, Array] = {}
        self._runners = (
            ReferenceRunner(_causal(program), observe=self._observer(self._written)),
            ReferenceRunner(_causal(int8), observe=self._observer(self._produced)),
        )
        self._output = program.description.outputs[0]
        self._layers = [operation for operation in int8.operations if _is_layer(operation, program)]
        self._signal = dict.fromkeys((layer.name for layer in self._layers), 0.0)
        self._noise, self._clipped, self._elements = dict(self._signal), dict(self._signal), dict(self._signal)
        states = _compared_states(int8)
        self._drift = {slot.name: 0.0 for slot in states if not _counts(slot)}
        self._saturated = {slot.name: 0 for slot in states if slot.scale is not None and not _is_unit(slot.scale)}
        self._factors = {name: int8.weights[weight] for name, weight in int8.description.factors.items()}
        self._scores: list[Array] = []  # (2, K) each: float and int8

    @staticmethod
    def _observer(values: dict[str, Array]) -> Any:
        def observe(_: AnyOperation, name: str, array: Array) -> None:
            values[name] = array

        return observe

    def run(self, columns: dict[str, Array], follow_state: bool) -> None:
        steps = len(next(iter(columns.values())))
        for t in range(steps):
            if t == 0 or (self._reset_steps is not None and t % self._reset_steps == 0):
                for runner in self._runners:
                    runner.reset()
            frame = {name: column[t].astype(np.float32) for name, column in columns.items()}
            self._written.clear()
            self._produced.clear()
            scores = [self._first(runner.step(frame)) for runner in self._runners]
            self._add_layers(frame)
            self._add_states(follow_state)
            self._steps += 1
            if self._steps % PROGRESS_STEPS == 0:
                self._on_step(self._steps)
            if scores[0] is None or scores[1] is None:  # nothing comes in this step
                continue
            if self._window_steps is None or t % self._window_steps == self._window_steps - 1:
                self._scores.append(np.array(scores))

    def _first(self, frame: Any) -> Array | None:
        """The first output, as one row; None where it does not come."""
        first = frame[self._output.name] if isinstance(frame, dict) else frame
        return None if first is None else np.asarray(first, np.float64).ravel()

    def _add_layers(self, frame: dict[str, Array]) -> None:
        for layer in self._layers:
            if layer.outputs[0] not in self._produced:  # it does not run in every step
                continue
            q = self._produced[layer.outputs[0]]
            if isinstance(layer, Quantize):
                source = layer.inputs[0]
                expected = frame[source] if source in frame else self._written[source]
                actual = q / self._int8.weights[layer.inverse] + self._int8.weights[layer.mean]
            else:
                name = layer.outputs[0]
                expected, actual = self._written[name], q * self._int8.values[name].scale * self._factors.get(name, 1.0)
            self._signal[layer.name] += float(np.sum(expected**2))
            self._noise[layer.name] += float(np.sum((expected - actual) ** 2))
            self._clipped[layer.name] += int(np.sum((q <= -32768) | (q >= 32767)))
            self._elements[layer.name] += q.size

    def _add_states(self, follow: bool) -> None:
        for slot in self._int8.state:
            state = self._runners[1].state[slot.name]
            if slot.name in self._saturated:
                low, high = _limits(slot.dtype)
                self._saturated[slot.name] += int(np.sum((state <= low) | (state >= high)))
            if follow and slot.name in self._drift:
                expected, unit = self._runners[0].state[slot.name], self._int8.state_unit(slot)
                if unit is not None:  # what an integer can hold of it
                    least, most = (limit * unit for limit in _limits(slot.dtype))
                    expected = np.clip(expected, least, most)
                difference = np.abs(state * (1.0 if unit is None else unit) - expected)
                self._drift[slot.name] = max(self._drift[slot.name], float(difference.max()))

    def report(self, recordings: int) -> QuantizationReport:
        scores = np.array(self._scores) if self._scores else np.zeros((0, 2, 1))  # (frames, 2, K)
        agreement = None
        if len(scores) and scores.shape[2] > 1:
            best = scores.argmax(axis=2)
            agreement = float(np.mean(best[:, 0] == best[:, 1]))
        return QuantizationReport(
            layers=tuple(self._layer_report(layer) for layer in self._layers),
            recordings=recordings,
            frames=len(scores),
            agreement=agreement,
            largest_difference=float(np.abs(scores[:, 0] - scores[:, 1]).max()) if len(scores) else 0.0,
            signal_to_noise_db=_decibels(np.sum(scores[:, :1] ** 2), np.sum((scores[:, :1] - scores[:, 1:]) ** 2)),
            state_drift=self._drift,
            saturated=self._saturated,
            weight_bytes_before=_weight_bytes(self._program),
            weight_bytes_after=_weight_bytes(self._int8),
            state_bytes_before=_state_bytes(self._program),
            state_bytes_after=_state_bytes(self._int8),
            equalized=self._int8.description.equalized,
            long_memory=tuple(
                operation.name
                for operation in self._int8.operations
                if isinstance(operation, Int32StateUpdate) and operation.matrices
            ),
        )

    def _layer_report(self, layer: AnyOperation) -> LayerReport:
        return LayerReport(
            name=layer.name,
            kind=type(layer).__name__,
            operand_bits=getattr(layer, "operand_bits", None),
            scale=self._int8.values[layer.outputs[0]].scale or 1.0,
            clipped_share=self._clipped[layer.name] / max(self._elements[layer.name], 1),
            signal_to_noise_db=_decibels(self._signal[layer.name], self._noise[layer.name]),
            kept_rows=_kept_rows(layer, self._program, self._int8),
        )


def _decibels(signal: float, noise: float) -> float:
    return float(10 * np.log10(signal / noise)) if signal > 0 and noise > 0 else NO_NOISE_DB


def _kept_rows(layer: AnyOperation, program: Program, int8: Program) -> float | None:
    """Share of a layer's rows that are integers in the float program, and the same ones in the int8 program."""
    original = next((operation for operation in program.operations if operation.name == layer.name), None)
    kept: list[Array] = []
    for name in ("W", "R"):
        if original is None or not (hasattr(layer, name) and hasattr(original, name)):
            continue
        W, q = (_as_rows(each.weights[getattr(by, name)]) for each, by in ((program, original), (int8, layer)))
        W = W.astype(np.float64)
        scale = fixed_point.grid_scale(W)
        own = np.rint(W / np.where(scale > 0, scale, 1.0)[:, None])
        kept.append(((own == q).all(axis=1) & (scale > 0)) | ~W.any(axis=1))
    return float(np.concatenate(kept).mean()) if kept else None


def _compared_states(int8: Program) -> list[StateSlot]:
    """All states but the sums of a softmax over time: they are relative to another score than in float."""
    relative = {
        getattr(operation, field).slot
        for operation in int8.operations
        if isinstance(operation, Int8RunningSoftmax)
        for field in operation.state_fields
    }
    return [slot for slot in int8.state if slot.name not in relative]


def _counts(slot: StateSlot) -> bool:
    """Whether a state stands for no real number: the position in a ring, the number of frames."""
    return slot.scale is None and not slot.dtype.startswith("float")


def _as_rows(W: Array) -> Array:
    """A matrix as it is; of groups (outputs, inputs, groups) a row for each output of each group."""
    return W if W.ndim == 2 else W.transpose(0, 2, 1).reshape(-1, W.shape[1])


def _limits(dtype: str) -> tuple[int, int]:
    """The smallest and largest integer of a state."""
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)


def _causal(program: Program) -> Program:
    return Program(msgspec.structs.replace(program.description, window=None), program.weights)


def _is_layer(operation: AnyOperation, program: Program) -> bool:
    if isinstance(operation, Quantize):
        return True
    return isinstance(operation, IntegerOperation) and operation.outputs[0] in program.values


def _is_unit(scale: float) -> bool:
    """Whether a state's scale is that of numbers from -1 to 1, which never saturate."""
    return scale in (2.0**-15, 2.0**-31)


def _weight_bytes(program: Program) -> int:
    return sum(weight.nbytes for weight in program.computed_weights.values())


def _state_bytes(program: Program) -> int:
    return sum(slot.size * np.dtype(slot.dtype).itemsize for slot in program.state)
