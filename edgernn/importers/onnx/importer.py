"""From a checked graph to a Program: the axes that may be time and batch are tried, as a stream first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

import msgspec
import numpy as np
from onnx import ModelProto

from edgernn.errors import InputError, MalformedModelError, ModelError, StatePairingError, UnsupportedModelError
from edgernn.importers.onnx.fusions.loop_rerolling import reroll_loops
from edgernn.importers.onnx.graph.graph import Graph, is_accepted, overridable_inputs
from edgernn.importers.onnx.rules.call import Options
from edgernn.importers.onnx.search.axes import (
    CELL_STATES,
    Layout,
    WrongAxisError,
    find_caches,
    find_state_inputs,
    hides_time,
    layouts,
    step_layouts,
)
from edgernn.importers.onnx.streams.comparison import ends_alike
from edgernn.importers.onnx.streams.state_binding import named_states, stated_pairs
from edgernn.importers.onnx.streams.timing import CountsStepsError, InputDecidesError, NeedsWindowError
from edgernn.importers.onnx.translation import GraphTranslation, ImportedModel, frozen_steps
from edgernn.importers.settings import ImportChoices, ImportSettings
from edgernn.program.description import Window
from edgernn.program.metadata import Metadata
from edgernn.program.program import Program

RECOMPUTED = "asked for with window=; copies of the state would take too much memory, so each window is kept as frames"
SHORT_LENGTHS = (2, 3, 5)  # at which it is computed
PROBE_LENGTHS = ((61, 97), (1021, 1289))  # at which a model that counts its frames is looked at


def import_model(model: ModelProto, folder: Path | None = None, **choices: Unpack[ImportChoices]) -> ImportedModel:
    """Import an ONNX model; the choices are those of `edgernn.load`.

    A model that cannot be streamed becomes one on windows of `window` steps, else of the length frozen in the file. One
    that can be streamed is streamed, whatever `window` says.

    Parameters
    ----------
    model : ModelProto
    folder : Path or None
        In which external data may lie.

    Raises
    ------
    MalformedModelError, UnsupportedModelError, StatePairingError
    InputError
        `time_axis` does not exist.
    """
    return import_with(model, folder, ImportSettings(**choices))


def import_with(
    model: ModelProto, folder: Path | None, settings: ImportSettings, *, recompute: bool = False
) -> ImportedModel:
    """`import_model` with all choices in one value; `recompute` asks for windows that are computed as a whole."""
    graph = _read(model, folder)
    _check_inputs(graph)
    if settings.attention_steps is not None and settings.attention_steps < 1:
        raise InputError(f"attention_steps is {settings.attention_steps}, it must be at least 1")
    with np.errstate(all="ignore"):
        if reroll_loops(graph):
            try:
                return _Search(graph, settings, recompute).run()
            except UnsupportedModelError:
                graph = _read(model, folder)  # as it was written
        return _Search(graph, settings, recompute).run()


def _read(model: ModelProto, folder: Path | None) -> Graph:
    """The checked graph; what onnx's checker accepts is not called damaged."""
    try:
        outputs = [entry.name for entry in model.graph.output]
        return Graph(model, folder, named_states(overridable_inputs(model), outputs))
    except MalformedModelError as error:
        if not is_accepted(model):
            raise
        raise UnsupportedModelError(f"edgernn cannot read this model: {error}") from error


@dataclass(frozen=True)
class _Failure:
    """An assumption about the axes that did not lead to a stream."""

    state_inputs: frozenset[str]
    layout: dict[str, Layout]
    error: ModelError
    runs_over_time: bool
    is_step: bool = False  # of a graph in which nothing is a sequence

    @property
    def unlikely(self) -> tuple[bool, int]:
        """How little speaks for the axes: something ran over time, and only the end of the sequence was missing."""
        kind = 0 if isinstance(self.error, NeedsWindowError) else 2 if isinstance(self.error, WrongAxisError) else 1
        return not self.runs_over_time, kind


class _Search:
    """Tries the axes that may be time and batch: first as a stream, then on windows."""

    def __init__(self, graph: Graph, settings: ImportSettings, recompute: bool) -> None:
        self.graph, self.recompute = graph, recompute
        self.window, self.hop, self.time_axis = settings.window, settings.hop, settings.time_axis
        self.metadata = Metadata.from_properties(graph.properties)
        self.stated = stated_pairs(graph.properties, settings.states)
        self.options = Options(settings.assume_torch_gru, settings.attention_steps)

    def run(self) -> ImportedModel:
        """The first assumption that works."""
        failures: list[_Failure] = []
        has_cells = any(node.operator in CELL_STATES for node in self.graph.nodes)
        for inner_sequences in (False, True) if has_cells else (False,):
            options = replace(self.options, inner_sequences=inner_sequences)
            imported = self._stream(options, failures)
            if imported is not None:
                return imported
        for failure in failures:
            if isinstance(failure.error, InputDecidesError):
                raise failure.error
            if isinstance(failure.error, StatePairingError) and (failure is failures[0] or failure.is_step):
                raise failure.error
        failures.sort(key=lambda failure: failure.unlikely)
        imported = (not self.recompute and self._at_any_length(failures)) or self._on_windows(failures)
        if imported is not None:
            return imported
        if not failures:
            raise UnsupportedModelError(
                f"no axis of the inputs ({', '.join(map(str, self.graph.inputs))}) can be time with all other dynamic "
                "axes being the batch: export the model with at most these two axes dynamic"
            )
        if isinstance(failures[0].error, NeedsWindowError):
            raise UnsupportedModelError(f"{failures[0].error}: run it on sliding windows, with window=") from None
        raise failures[0].error

    def _stream(self, options: Options, failures: list[_Failure]) -> ImportedModel | None:
        may_step = self._is_named_step() and not options.inner_sequences
        for place, (state_inputs, layout) in enumerate(_assumptions(self.graph, self.time_axis, self.stated)):
            if may_step and not self._named() <= state_inputs:  # before its states are taken for sequences
                imported = self._step(options, failures)
                if imported is not None:
                    return imported
                may_step = False
            is_sure = place == 0 or self.time_axis is not None
            attempt = GraphTranslation(self.graph, layout, state_inputs, replace(options, is_sure=is_sure))
            try:
                imported = attempt.translate(self.stated, self.metadata)
                is_step = bool(imported.pairs) and not attempt.builder.state_inputs.has_time
                is_step = is_step and not hides_time(self.graph, layout)
                if is_sure or attempt.runs_over_time or is_step:
                    if not self.recompute:
                        return imported
                    failures[:] = [_Failure(state_inputs, layout, NeedsWindowError(RECOMPUTED), True)]
                    return None
            except ModelError as error:
                failures.append(_Failure(state_inputs, layout, error, attempt.runs_over_time))
        return None if options.inner_sequences else self._step(options, failures)

    def _named(self) -> frozenset[str]:
        """Inputs that have the names of states, and can be such."""
        layout = step_layouts(self.graph)
        return frozenset() if layout is None else named_states(layout, self.graph.outputs)

    def _is_named_step(self) -> bool:
        """Whether names say that it is one step: some pair, and something is left for samples and for a result."""
        named = self._named()
        is_left = len(named) < min(len(self.graph.inputs), len(self.graph.outputs))
        return self.stated is None and bool(named) and (is_left or 1 < len(named) < len(self.graph.inputs))

    def _step(self, options: Options, failures: list[_Failure]) -> ImportedModel | None:
        """The graph of one step, whatever axes its inputs have, if states show that it is one."""
        if self.time_axis is not None or self.recompute or len(self.graph.inputs) < 2:
            return None
        layout = step_layouts(self.graph)
        if layout is None:
            return None
        named = self._named()
        attempt = GraphTranslation(self.graph, layout, named, options)
        try:
            imported = attempt.translate(self.stated, self.metadata)
            return imported if imported.pairs else None
        except StatePairingError as error:
            if named:
                failures.append(_Failure(named, layout, error, False, True))
        except ModelError:
            pass  # the sequence that it is not says more
        return None

    def _at_any_length(self, failures: list[_Failure]) -> ImportedModel | None:
        """A model that counts its frames but uses only their distances: it is the same stream at any length.

        A mask that lets each frame look back so far is made like that. What the model would be is seen at two lengths;
        a constant that differs along time, or attention over everything, is no stream at either.
        """
        for failure in failures:
            if not isinstance(failure.error, CountsStepsError):
                continue
            axes = {name: place.time_axis for name, place in failure.layout.items()}
            for lengths in PROBE_LENGTHS:
                found = []
                for length in lengths:
                    graph = self.graph.frozen(axes, length)
                    options = replace(self.options, any_length=True)
                    attempt = GraphTranslation(graph, failure.layout, failure.state_inputs, options)
                    attempt.written = self.graph
                    try:
                        found.append(attempt.translate(self.stated, self.metadata))
                    except ModelError:
                        break
                if (
                    len(found) == len(lengths)
                    and _same_programs(*(imported.program for imported in found))
                    and self._holds_at_short_lengths(found[0].program, failure, axes)
                ):
                    program = found[0].program
                    steps = self.metadata.window_steps
                    description = msgspec.structs.replace(program.description, trained_steps=steps)
                    return replace(found[0], program=Program(description, program.weights))
        return None

    def _holds_at_short_lengths(self, program: Program, failure: _Failure, axes: Mapping[str, int | None]) -> bool:
        """Whether a stream gives what the graph, frozen at a few steps and computed as a whole, gives at its end.

        What two long sequences have in common may be a limit that short ones do not reach.
        """
        if program.mode != "continuous" or program.warmup_steps:
            return True
        options = replace(self.options, inner_sequences=True, is_window=True)
        for length in SHORT_LENGTHS:
            graph, window = self.graph.frozen(dict(axes), length), Window(length, 1, True)
            attempt = GraphTranslation(graph, failure.layout, failure.state_inputs, options, window)
            try:
                whole = attempt.translate(self.stated, self.metadata).program
            except ModelError:
                continue
            if not ends_alike(program, whole, length):
                return False
        return True

    def _on_windows(self, failures: list[_Failure]) -> ImportedModel | None:
        """The model on windows, with the likeliest axes on which that works."""
        options = replace(self.options, inner_sequences=True, is_window=True)
        for failure in failures:
            steps = self.window or frozen_steps(self.graph, failure.layout)
            if steps is None or isinstance(failure.error, MalformedModelError | StatePairingError):
                continue
            attempt = GraphTranslation(
                self.graph, failure.layout, failure.state_inputs, options, Window(steps, self.hop, True)
            )
            try:
                return attempt.translate(self.stated, self.metadata, f"{failure.error}")
            except ModelError as error:
                if failure is failures[0]:
                    failures[0] = replace(failure, error=self._of_window(error, steps, failure.layout))
        return None

    def _of_window(self, error: ModelError, steps: int, layout: dict[str, Layout]) -> ModelError:
        """Why a window does not run; another length than that of the file may be the reason."""
        frozen = frozen_steps(self.graph, layout)
        if frozen in (None, steps):
            return error
        return UnsupportedModelError(
            f"{error}; that is on a window of {steps} steps, and the file holds a length of {frozen}: use "
            f"window={frozen}, or export the model with a free length"
        )


def _same_programs(a: Program, b: Program) -> bool:
    """Whether two programs do the same, whatever length they were frozen at."""
    first, second = (msgspec.structs.replace(program.description, trained_steps=None) for program in (a, b))
    return (
        first == second
        and a.weights.keys() == b.weights.keys()
        and all(np.array_equal(a.weights[name], b.weights[name]) for name in a.weights)
    )


def _assumptions(
    graph: Graph, time_axis: int | None, stated: Mapping[str, str] | None
) -> Iterator[tuple[frozenset[str], dict[str, Layout]]]:
    """Which inputs are states, and where time is; the likeliest first."""
    sure = find_state_inputs(graph) | frozenset(stated or ())
    likely = sure
    if stated is None:
        one_step = [entry.name for entry in graph.inputs if sum(isinstance(d, str) for d in entry.dimensions) <= 1]
        likely |= named_states(one_step, graph.outputs)
    if len(likely) == len(graph.inputs):
        likely = sure
    for state_inputs in dict.fromkeys((likely, sure, likely | find_caches(graph) if stated is None else likely)):
        for layout in layouts(graph, time_axis, state_inputs):
            yield state_inputs, layout


def _check_inputs(graph: Graph) -> None:
    if not graph.inputs:
        raise UnsupportedModelError("the outputs of the model depend on none of its inputs: there is nothing to stream")
