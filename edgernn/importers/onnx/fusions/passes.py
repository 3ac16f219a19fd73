"""The passes after translation: each takes a Program and gives one that computes the same, in their order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import TypeAlias

import msgspec

from edgernn.importers.onnx.fusions.biases import fuse_biases
from edgernn.importers.onnx.fusions.cells import fuse_cells
from edgernn.importers.onnx.fusions.common_subexpressions import eliminate_common_subexpressions
from edgernn.importers.onnx.fusions.composites import fuse_composites
from edgernn.importers.onnx.fusions.dead_code import eliminate_dead_code
from edgernn.importers.onnx.fusions.log import FusionLog
from edgernn.importers.onnx.streams.names import Names
from edgernn.importers.onnx.streams.weights import WeightStore
from edgernn.program.program import Program

Pass: TypeAlias = Callable[[Program], Program]


def passes_after_translation(
    *,
    kept_slots: Collection[str],
    named_slots: Collection[str],
    store: WeightStore,
    names: Names,
    log: FusionLog,
) -> list[Pass]:
    """What a translated program goes through.

    Parameters
    ----------
    kept_slots : collection of str
        States whose last content is a result of the model.
    named_slots : collection of str
        States that stay even where nothing uses them: inputs of the graph.
    store, names
        Where weights and names of new operations come from.
    log : FusionLog
        Learns what is fused, and what nearly is.
    """
    without_dead_code = partial(eliminate_dead_code, slots=kept_slots)
    return [
        eliminate_common_subexpressions,
        partial(fuse_composites, log=log),
        without_dead_code,
        partial(fuse_biases, log=log),
        partial(fuse_cells, store=store, names=names, log=log),
        without_dead_code,
        partial(drop_unused, named_slots=named_slots),
    ]


def run_passes(program: Program, passes: Iterable[Pass]) -> Program:
    """The program after all passes."""
    for run in passes:
        program = run(program)
    return program


def drop_unused(program: Program, named_slots: Collection[str]) -> Program:
    """The program without states and weights that no operation uses, but with the states `named_slots`."""
    used_slots = {region.slot for step in program.operations for region, _ in step.regions(program.weights)}
    slots = tuple(slot for slot in program.state if slot.name in used_slots or slot.name in named_slots)
    used = {name for operation in program.operations for name in operation.weight_names()}
    used |= {slot.initial for slot in slots if slot.initial is not None}
    weights = {name: array for name, array in program.weights.items() if name in used}
    return Program(msgspec.structs.replace(program.description, state=slots), weights)
