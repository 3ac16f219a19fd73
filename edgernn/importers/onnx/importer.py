"""From a checked graph to a Program: each node's rule in turn, then states, outputs and the description."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from onnx import ModelProto, TensorProto

from edgernn.errors import InputError, MalformedModelError, ModelError, StatePairingError, UnsupportedModelError
from edgernn.importers.onnx.builder import ProgramBuilder
from edgernn.importers.onnx.composites import composed
from edgernn.importers.onnx.fusion import fuse_biases
from edgernn.importers.onnx.graph import Graph
from edgernn.importers.onnx.pruning import pruned
from edgernn.importers.onnx.rules.call import Options
from edgernn.importers.onnx.scope import Scope
from edgernn.importers.onnx.sequence import frames_of, settled
from edgernn.importers.onnx.states import named_states, pair_states, stated_pairs
from edgernn.importers.onnx.tensors import type_name
from edgernn.importers.onnx.time_axis import CELL_STATES, Layout, WrongAxisError, find_state_inputs, layouts
from edgernn.importers.onnx.timing import CountsStepsError, NeedsWindowError, Timing
from edgernn.importers.onnx.traps import traps
from edgernn.importers.onnx.unrolled import roll_up
from edgernn.importers.onnx.values import Role, Stream, check_step_shape, features, has_role, width_of
from edgernn.importers.onnx.written_cells import recognise_cells
from edgernn.metadata import Metadata
from edgernn.operations import AnyOperation, History, ReadState, RecurrentOperation, StateRegion, WriteState
from edgernn.program import InputDescription, OutputDescription, Program, ProgramDescription, StateSlot, Window

CONTINUOUS = "each output needs only the samples up to its own, so the states simply go on"
RECOMPUTED = "asked for with window=; copies of the state would take too much memory, so each window is kept as frames"
PROBE_LENGTHS = ((61, 97), (1021, 1289))  # at which a model that counts its frames is looked at
DELAYED = "outputs look ahead, so they come that much later"
AHEAD = (
    "an output belongs to all samples so far, and layers before it look ahead: each step runs on with the padding that "
    "the model has behind the last sample, on a copy of the state"
)


@dataclass(frozen=True)
class ImportedModel:
    """A program, and how it relates to the graph it was made from.

    Attributes
    ----------
    program : Program
    layouts : dict of str to Layout
        Where each input of the graph has its time and batch axis.
    pairs : dict of str to str
        For each state input the output that feeds it.
    """

    program: Program
    layouts: dict[str, Layout]
    pairs: dict[str, str]


def import_model(
    model: ModelProto,
    folder: Path | None = None,
    *,
    window: int | None = None,
    hop: int = 1,
    time_axis: int | None = None,
    states: Mapping[str, str] | None = None,
    assume_torch_gru: bool = False,
    attention_steps: int | None = None,
    recompute: bool = False,
) -> ImportedModel:
    """Import an ONNX model; the options are those of `edgernn.load`.

    A model that cannot be streamed becomes one on windows of `window` steps, else of the length frozen in the file. One
    that can be streamed is streamed, whatever `window` says, unless `recompute` asks for windows that are computed as a
    whole.

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
    graph = Graph(model, folder)
    _check_inputs(graph)
    if attention_steps is not None and attention_steps < 1:
        raise InputError(f"attention_steps is {attention_steps}, it must be at least 1")
    options = Options(assume_torch_gru, attention_steps)
    with np.errstate(all="ignore"):
        if roll_up(graph):
            try:
                return _Search(graph, window, hop, time_axis, states, options, recompute).run()
            except UnsupportedModelError:
                graph = Graph(model, folder)  # as it was written
        return _Search(graph, window, hop, time_axis, states, options, recompute).run()


@dataclass(frozen=True)
class _Failure:
    """An assumption about the axes that did not lead to a stream."""

    state_inputs: frozenset[str]
    layout: dict[str, Layout]
    error: ModelError
    runs_over_time: bool

    @property
    def unlikely(self) -> tuple[bool, int]:
        """How little speaks for the axes: something ran over time, and only the end of the sequence was missing."""
        kind = 0 if isinstance(self.error, NeedsWindowError) else 2 if isinstance(self.error, WrongAxisError) else 1
        return not self.runs_over_time, kind


class _Search:
    """Tries the axes that may be time and batch: first as a stream, then on windows."""

    def __init__(
        self,
        graph: Graph,
        window: int | None,
        hop: int,
        time_axis: int | None,
        states: Mapping[str, str] | None,
        options: Options,
        recompute: bool,
    ) -> None:
        self.graph, self.window, self.hop, self.time_axis = graph, window, hop, time_axis
        self.recompute = recompute
        self.metadata = Metadata.from_properties(graph.properties)
        self.stated = stated_pairs(graph.properties, states)
        self.options = options

    def run(self) -> ImportedModel:
        """The first assumption that works."""
        failures: list[_Failure] = []
        has_cells = any(node.operator in CELL_STATES for node in self.graph.nodes)
        for inner_sequences in (False, True) if has_cells else (False,):
            options = replace(self.options, inner_sequences=inner_sequences)
            imported = self._stream(options, failures)
            if imported is not None:
                return imported
        if failures and isinstance(failures[0].error, StatePairingError):
            raise failures[0].error
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
        for place, (state_inputs, layout) in enumerate(_assumptions(self.graph, self.time_axis, self.stated)):
            attempt = _Attempt(self.graph, layout, state_inputs, options)
            try:
                attempt.apply_nodes()
                imported = attempt.finish(self.stated, self.metadata)
                is_step = bool(imported.pairs) and not attempt.builder.has_time
                if place == 0 or self.time_axis is not None or attempt.runs_over_time or is_step:
                    if not self.recompute:
                        return imported
                    failures[:] = [_Failure(state_inputs, layout, NeedsWindowError(RECOMPUTED), True)]
                    return None
            except ModelError as error:
                failures.append(_Failure(state_inputs, layout, error, attempt.runs_over_time))
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
                    attempt = _Attempt(graph, failure.layout, failure.state_inputs, self.options)
                    attempt.written = self.graph
                    try:
                        attempt.apply_nodes()
                        found.append(attempt.finish(self.stated, self.metadata))
                    except ModelError:
                        break
                if len(found) == len(lengths) and _same_programs(*(imported.program for imported in found)):
                    program = found[0].program
                    steps = self.metadata.window_steps
                    description = msgspec.structs.replace(program.description, trained_steps=steps)
                    return replace(found[0], program=Program(description, program.weights))
        return None

    def _on_windows(self, failures: list[_Failure]) -> ImportedModel | None:
        """The model on windows, with the likeliest axes on which that works."""
        options = replace(self.options, inner_sequences=True, is_window=True)
        for failure in failures:
            steps = self.window or _frozen_steps(self.graph, failure.layout)
            if steps is None or isinstance(failure.error, MalformedModelError | StatePairingError):
                continue
            attempt = _Attempt(self.graph, failure.layout, failure.state_inputs, options, Window(steps, self.hop, True))
            try:
                attempt.apply_nodes()
                return attempt.finish(self.stated, self.metadata, f"{failure.error}")
            except ModelError as error:
                if failure is failures[0]:
                    failures[0] = replace(failure, error=self._of_window(error, steps, failure.layout))
        return None

    def _of_window(self, error: ModelError, steps: int, layout: dict[str, Layout]) -> ModelError:
        """Why a window does not run; another length than that of the file may be the reason."""
        frozen = _frozen_steps(self.graph, layout)
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
    for state_inputs in dict.fromkeys((likely, sure)):
        for layout in layouts(graph, time_axis, state_inputs):
            yield state_inputs, layout


def _check_inputs(graph: Graph) -> None:
    if not graph.inputs:
        raise UnsupportedModelError("the outputs of the model depend on none of its inputs: there is nothing to stream")


class _Attempt:
    """One pass over the graph with assumed axes of time and batch, on a stream or, with `window`, on windows."""

    def __init__(
        self,
        graph: Graph,
        layout: dict[str, Layout],
        state_inputs: frozenset[str],
        options: Options,
        window: Window | None = None,
    ) -> None:
        self.graph, self.layout, self.options, self.window = graph, layout, options, window
        self.written = graph  # before lengths were frozen
        axes = {entry.name: layout[entry.name].axes(entry.dimensions) for entry in graph.inputs}
        self.sequences = {name for name, entry in axes.items() if any(has_role(axis, Role.TIME) for axis in entry)}
        names = [name for node in graph.nodes for name in node.outputs] + [entry.name for entry in graph.inputs]
        self.builder = ProgramBuilder(bool(self.sequences), state_inputs, names)
        self.builder.warnings += [f"input {name} is not used, so it is left out" for name in graph.unused_inputs]
        self.builder.batch = max(_frozen_batch(entry.dimensions, layout[entry.name]) for entry in graph.inputs)
        self.inputs: dict[str, Stream] = {}
        for entry in graph.inputs:
            shape = layout[entry.name].step_shape(entry.dimensions) or (1,)
            check_step_shape(shape, f"input {entry.name}")
            self.builder.add_input(entry.name, shape, "int32" if entry.is_integer else "float32")
            if entry.number_type != TensorProto.FLOAT and not entry.is_integer:
                wider = type_name(entry.number_type)
                self.builder.warnings.append(f"the model computes in {wider}, edgernn in float32: results may differ")
            self.inputs[entry.name] = self._input(Stream.of(entry.name, axes[entry.name]))
        self.scope = Scope(graph, self.builder, options, self.inputs, graph.initializer)

    def _input(self, x: Stream) -> Stream:
        """An input of the graph as it comes in each step; on windows, all frames of one."""
        if self.window is None:
            return x
        place = x.find(Role.TIME)
        if place is None:
            return x.timed(Timing(self.window.steps - 1, self.window.hop, self.window.hop - self.window.steps))
        frames = frames_of(self.builder, x, self.window.steps, stride=self.window.hop)
        axes = (*x.axes[:place], features(self.window.steps), *x.axes[place + 1 :])
        return frames.moved(axes, np.moveaxis(frames.elements.squeeze(place + 1), 0, place))

    def apply_nodes(self) -> None:
        """Every node's rule, in order."""
        self.scope.apply(self.graph.nodes)

    @property
    def runs_over_time(self) -> bool:
        """Whether an operator has accepted the axis of time as the one that it runs over."""
        operations = self.builder.operations
        return self.builder.ran_over_time or any(isinstance(o, RecurrentOperation | History) for o in operations)

    # ---- what becomes of the inputs and outputs

    def finish(self, stated: Mapping[str, str] | None, metadata: Metadata, window_reason: str = "") -> ImportedModel:
        """The Program; `window_reason` says why it is no stream."""
        builder, self.builder.source = self.builder, ""
        streams = {name: self._output_stream(name) for name in self.graph.outputs}
        pairs = pair_states(builder, self.inputs, streams, stated, self.sequences)
        ports = [name for name in streams if name not in pairs.values()] or list(streams)
        outputs = tuple(self._output(name, streams[name]) for name in ports)
        states = {name for name in self.inputs if name in pairs or any(c.state_input == name for c in builder.claims)}
        tail_steps = max(output.timing.tail_steps for name, output in streams.items() if name in ports)
        writes = [write for name in pairs for write in self._writes(name, streams[pairs[name]])]
        kept_values = [output.value for output in outputs] + [write.inputs[0] for write in writes]
        reads = self._reads(states, kept_values)
        state_writes = {write.region.slot for write in writes if isinstance(write, WriteState)}
        claimed = {claim.state_input for claim in builder.claims if claim.state_input in pairs}
        kept_slots = state_writes | claimed
        steps = pruned(builder.operations, builder.weights, kept_values, kept_slots)
        self._check_doubts(steps, kept_values)
        steps = composed(steps, builder.weights, builder.values, kept_values)
        steps = pruned(steps, builder.weights, kept_values, kept_slots)
        steps = fuse_biases(steps, builder.weights, kept_values)
        operations = recognise_cells(builder, [*reads, *steps, *writes])
        operations = pruned(operations, builder.weights, [output.value for output in outputs], kept_slots)
        slots = [
            StateSlot(name, builder.values[name].shape, builder.values[name].dtype)
            for name in self.inputs
            if name in states
        ]
        used_slots = {region.slot for step in operations for region, _ in step.regions(builder.weights)}
        slots += [slot for name, slot in builder.slots.items() if name in used_slots]
        used = {name for operation in operations for name in operation.weight_names()}
        used |= {slot.initial for slot in slots if slot.initial is not None}
        sequences = [output.name for output in outputs if output.per_frame]
        description = ProgramDescription(
            inputs=tuple(
                InputDescription(name, builder.values[name].shape, builder.values[name].dtype)
                for name in self.inputs
                if name not in states
            ),
            outputs=outputs,
            state=tuple(slots),
            operations=tuple(operations),
            mode_reason=window_reason or _reason(outputs),
            tail_steps=tail_steps,
            window=self.window,
            trained_steps=metadata.window_steps or _frozen_steps(self.graph, self.layout),
            warnings=tuple(dict.fromkeys([*builder.warnings, *traps(self.written, self.layout, sequences)])),
            metadata=metadata,
        )
        weights = {name: array for name, array in builder.weights.items() if name in used}
        return ImportedModel(Program(description, weights), self.layout, pairs)

    def _check_doubts(self, operations: list[AnyOperation], values: list[str]) -> None:
        doubtful = self.builder.doubtful
        for name in (*values, *(name for operation in operations for name in operation.outputs)):
            if name in doubtful:
                raise NeedsWindowError(doubtful[name])

    def _output_stream(self, name: str) -> Stream:
        tensor = self.scope.read(name)
        if not isinstance(tensor, Stream):
            raise UnsupportedModelError(
                f"output {name} does not depend on the model's inputs: remove it from the graph"
            )
        return settled(self.builder, tensor)

    def _output(self, name: str, stream: Stream) -> OutputDescription:
        """Describe an output; a batch or time of one, which nobody follows, is taken to be its leading axes of one."""
        time = stream.find(Role.TIME)
        kept = [i for i, axis in enumerate(stream.axes) if not axis or width_of(axis) > 1]
        for _ in range(self._axes_of_one()):
            if len(kept) > 1 and stream.axes[kept[0]] == ():
                kept = kept[1:]
        shape = tuple(width_of(stream.axes[i]) for i in kept) or (1,)
        time_axis = 0 if time is None else sum(i < time for i in kept)
        per_frame = not stream.whole
        if self.window is not None:  # the axis as long as the window is that of its frames
            frames = [i for i, extent in enumerate(shape) if extent == self.window.steps > 1]
            per_frame, time_axis = len(frames) == 1, frames[0] if len(frames) == 1 else 0
        return OutputDescription(
            name,
            self.builder.value(stream, shape),
            per_frame=per_frame,
            time_axis=time_axis,
            when=stream.timing.schedule,
            frames=1 if time is None else width_of(stream.axes[time]),
        )

    def _axes_of_one(self) -> int:
        """How many of time and batch have the extent 1 in the inputs."""
        return max(
            sum(axis is not None and entry.dimensions[axis] == 1 for axis in (layout.batch_axis, layout.time_axis))
            for entry in self.graph.inputs
            for layout in (self.layout[entry.name],)
        )

    def _reads(self, states: set[str], kept_values: list[str]) -> list[AnyOperation]:
        """States that are read as they are."""
        read = {name for operation in self.builder.operations for name in operation.inputs} | set(kept_values)
        return [
            ReadState(
                name=self.builder.unique_operation(f"read {name}"),
                inputs=(),
                outputs=(name,),
                region=StateRegion(name),
                shape=self.builder.values[name].shape,
                dtype=self.builder.values[name].dtype,
            )
            for name in self.inputs
            if name in states and name in read
        ]

    def _writes(self, state: str, stream: Stream) -> list[AnyOperation]:
        """Writes of those parts of a state that no recurrence keeps by itself."""
        kept = np.zeros(stream.elements.size + 2, bool)  # with an edge on either side
        kept[0] = kept[-1] = True
        for claim in self.builder.claims:
            if claim.state_input == state:
                kept[1 + claim.offset : 1 + claim.offset + claim.size] = True
        edges = np.flatnonzero(np.diff(kept))
        writes: list[AnyOperation] = []
        flat = stream.elements.ravel()
        for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            part = stream.moved((features(stop - start),), flat[start:stop])
            writes.append(
                WriteState(
                    name=self.builder.unique_operation(f"write {state}"),
                    inputs=(self.builder.value_of_any_shape(part),),
                    outputs=(),
                    region=StateRegion(state, start),
                    size=stop - start,
                    dtype=self.builder.values[state].dtype,
                )
            )
        return writes


def _reason(outputs: Sequence[OutputDescription]) -> str:
    """Why a stream runs in its mode."""
    if any(output.when.tail_steps for output in outputs):
        return DELAYED
    return AHEAD if any(output.when.at_end for output in outputs) else CONTINUOUS


def _frozen_batch(dimensions: Sequence[int | str], layout: Layout) -> int:
    extent = dimensions[layout.batch_axis] if layout.batch_axis is not None else 1
    return extent if isinstance(extent, int) else 1


def _frozen_steps(graph: Graph, layout: dict[str, Layout]) -> int | None:
    """The length of time that the file holds, if it is no single step."""
    for entry in graph.inputs:
        axis = layout[entry.name].time_axis
        dimension = entry.dimensions[axis] if axis is not None else 1
        if isinstance(dimension, int) and dimension > 1:
            return dimension
    return None
