"""Which output of the graph feeds which state input at the next step.

A recurrent operator that begins from an input and whose last state is an output proves the pair. Where a step is
written out in plain operators, names must say it (``h`` and ``h_out``, ``h0`` and ``hn``), or the user; a cache that is
moved on by a frame shows it by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from math import prod

import numpy as np

from edgernn.errors import MalformedModelError, StatePairingError, UnsupportedModelError
from edgernn.importers.onnx.streams.builder import ProgramBuilder
from edgernn.importers.onnx.streams.values import Role, Signal
from edgernn.program.metadata import STATES_KEY

# parts of names that tell the old state from the new one
ROLES = {"in", "out", "input", "output", "old", "new", "prev", "previous", "next", "past", "present", "initial", "init"}
ROLES |= {"final", "last", "t", "n", "0"}
STUCK = re.compile(r"(h|c|s|hx|cx|state|hidden|cell|mem|memory|cache)(in|out)")  # words written as one
LETTERS = {"t", "n", "0"}  # of these roles a state may have its name
OLD, NEW = {"old", "prev", "previous", "past"}, {"new", "next", "present"}  # enough for a name, with nothing else


def stated_pairs(properties: Mapping[str, str], states: Mapping[str, str] | None) -> dict[str, str] | None:
    """Pairs that the user or the model's metadata states; None where neither says anything."""
    if states is not None:
        return dict(states)
    if STATES_KEY not in properties:
        return None
    try:
        pairs = json.loads(properties[STATES_KEY])
    except (ValueError, RecursionError) as error:
        raise MalformedModelError(f"metadata entry {STATES_KEY} is no JSON: {error}") from error
    if not isinstance(pairs, dict) or not all(isinstance(output, str) for output in pairs.values()):
        raise MalformedModelError(f'metadata entry {STATES_KEY} must be an object such as {{"h_in": "h_out"}}')
    return pairs


def named_states(inputs: Iterable[str], outputs: Collection[str]) -> frozenset[str]:
    """Inputs that have the name of a state, because an output differs only in what tells new from old."""
    found = {name: [output for output in outputs if _same_stem(name, output)] for name in inputs}
    return frozenset(_without_samples({name: names[0] for name, names in found.items() if names}))


def pair_states(
    builder: ProgramBuilder,
    inputs: Mapping[str, Signal],
    outputs: Mapping[str, Signal],
    stated: Mapping[str, str] | None,
    sequences: Collection[str],
) -> dict[str, str]:
    """The output for each state input that has one.

    Parameters
    ----------
    builder : ProgramBuilder
        Knows which pieces of inputs recurrences begin from.
    inputs, outputs : mapping of str to Signal
        Of the graph.
    stated : mapping of str to str, or None
        Pairs that are materialized.
    sequences : collection of str
        Inputs that have time, so that they are no states.

    Raises
    ------
    StatePairingError
        A stated pair cannot be, or the pairs are not unique.
    """
    pairs = dict(stated or {})
    _check_stated(builder, pairs, inputs, outputs, sequences)
    bound = dict.fromkeys(binding.state_input for binding in builder.state_inputs.bindings)
    steps = {name: stream for name, stream in outputs.items() if stream.find(Role.TIME) is None}
    for name in bound:
        proven = [
            output
            for output, stream in steps.items()
            if output not in pairs.values() and _continues(builder, stream, name)
        ]
        if name not in pairs and proven:
            pairs[name] = next((output for output in proven if _same_stem(name, output)), proven[-1])
    if stated is None and len(inputs) > 1:
        unsettled = {
            name: stream
            for name, stream in inputs.items()
            if name not in bound and name not in pairs and name not in sequences
        }
        free = {name: stream for name, stream in steps.items() if name not in pairs.values()}
        found = _pair_by_name(builder, unsettled, free)
        if found and builder.state_inputs.has_time:
            raise UnsupportedModelError(builder.state_inputs.unreadable(next(iter(found))))
        pairs.update(found)
    if not set(inputs) - set(pairs) - set(bound):
        raise StatePairingError(
            f"every input of the model is a state ({_listed(pairs)}), none is left for the samples: say which are, "
            "with states={...}"
        )
    return pairs


def _check_stated(
    builder: ProgramBuilder,
    pairs: Mapping[str, str],
    inputs: Mapping[str, Signal],
    outputs: Mapping[str, Signal],
    sequences: Collection[str],
) -> None:
    for name, output in pairs.items():
        for what, entry, known in (("input", name, inputs), ("output", output, outputs)):
            if entry not in known:
                raise StatePairingError(f"the model has no {what} {entry!r}; it has {', '.join(known)}")
        source, target = inputs[name], outputs[output]
        if name in sequences or target.find(Role.TIME) is not None:
            raise StatePairingError(
                f"{name!r} and {output!r} cannot be a state, since one of them has the time axis; say with time_axis= "
                "which axis is time"
            )
        if source.elements.size != target.elements.size:
            raise StatePairingError(
                f"output {output!r} has {target.elements.size} numbers, so it cannot feed {name!r}, which has "
                f"{source.elements.size}"
            )
        if not _continues(builder, target, name):
            raise StatePairingError(
                f"output {output!r} is not the last state of the recurrence that begins from {name!r}"
            )
    if len(set(pairs.values())) < len(pairs):
        raise StatePairingError(f"one output is said to feed two states: {_listed(pairs)}")


def _continues(builder: ProgramBuilder, output: Signal, state_input: str) -> bool:
    """Whether the output holds, in the state's order, what recurrences have made of each claimed piece of the input."""
    if output.elements.size != builder.values[state_input].size:
        return False
    begins = dict(zip(output.bases, np.cumsum([0, *map(builder.size_of, output.bases[:-1])]), strict=True))
    flat = output.elements.ravel()
    return all(
        binding.last in begins
        and (
            flat[binding.offset : binding.offset + binding.size] == begins[binding.last] + np.arange(binding.size)
        ).all()
        for binding in builder.state_inputs.bindings
        if binding.state_input == state_input
    )


def _pair_by_name(
    builder: ProgramBuilder, inputs: Mapping[str, Signal], outputs: Mapping[str, Signal]
) -> dict[str, str]:
    """Pairs of a step written out in plain operators: equal shapes, and names with the same stem, or a cache moved on.

    What is left over must not look like a state too, unless it is the only input that can hold the samples.
    """
    alike = {
        name: [output for output, other in outputs.items() if other.extents == stream.extents]
        for name, stream in inputs.items()
    }
    named = {name: [output for output in alike[name] if _same_stem(name, output)] for name in inputs}
    pairs = _without_samples({name: found[0] for name, found in named.items() if len(found) == 1})
    for name in inputs:
        moved = [
            output
            for output in alike[name]
            if _is_moved_on(builder, outputs[output], inputs[name], name) or _is_carried(builder, outputs[output], name)
        ]
        if name not in pairs and len(moved) == 1 and not builder.state_inputs.has_time:
            pairs[name] = moved[0]
    left = [name for name in inputs if name not in pairs]
    open_ends = {name: [output for output in alike[name] if output not in pairs.values()] for name in left}
    is_unique = len(left) == 1 or not any(open_ends.values())
    if not is_unique or len(set(pairs.values())) < len(pairs):
        candidates = "; ".join(f"{name} from {' or '.join(found)}" for name, found in open_ends.items() if found)
        raise StatePairingError(
            f"which outputs feed which states is not unique ({candidates or _listed(pairs)}): say it with "
            'states={"input": "output"}, or states={} if there are no states'
        )
    return pairs


def _is_carried(builder: ProgramBuilder, output: Signal, name: str) -> bool:
    """Whether an output is what a loop within the step has made of the state, and of nothing but the state as it is."""
    return any(
        old.bases == (name,)
        and new.bases == output.bases
        and np.array_equal(old.elements.ravel(), np.arange(builder.size_of(name)))
        and np.array_equal(new.elements.ravel(), output.elements.ravel())
        for old, new in builder.findings.carried
    )


def _is_moved_on(builder: ProgramBuilder, output: Signal, state: Signal, name: str) -> bool:
    """Whether an output is the state moved along one axis, with something new at an end, as a cache of frames is."""
    if name not in output.bases or not state.elements.size:
        return False
    begin = sum(builder.size_of(base) for base in output.bases[: output.bases.index(name)])
    new, old = output.elements - begin, state.elements
    for axis, width in enumerate(old.shape):
        inner = prod(old.shape[axis + 1 :])
        for shift in {int(new.flat[0]) // inner, width - 1 - int(new.flat[-1]) // inner % width}:
            if not 0 < shift < width:
                continue
            front, back = ((slice(None),) * axis + (part,) for part in (slice(-shift), slice(shift, None)))
            if (new[front] == old[back]).all() or (new[back] == old[front]).all():
                return True
    return False


def _without_samples(pairs: Mapping[str, str]) -> dict[str, str]:
    """The pairs without x, where ``x_prev`` is fed by ``x_next`` too: a name that says it is old goes before."""
    says_old = {output for name, output in pairs.items() if OLD.intersection(_words(name))}
    return {name: o for name, o in pairs.items() if o not in says_old or OLD.intersection(_words(name))}


def _same_stem(state_input: str, output: str) -> bool:
    """Whether two names differ only in what tells old from new.

    Examples
    --------
    >>> _same_stem("h0", "hn"), _same_stem("h_in_1", "h_out_1"), _same_stem("hin", "hout"), _same_stem("in_1", "out_1")
    (True, True, True, False)
    """
    is_plain = _words(state_input) and set(_words(state_input)) <= OLD and set(_words(output)) <= NEW
    return bool(_words(output) and is_plain) or bool(_stems(state_input, "0") & _stems(output, "n"))


def _words(name: str) -> list[str]:
    """The words of a name; ``hin`` and ``stateout`` are two."""
    parts = [part for part in re.split(r"[^a-z0-9]+", name.lower()) if part]
    words: list[str] = []
    for part in parts:
        stuck = STUCK.fullmatch(part)
        words += [part] if stuck is None else list(stuck.groups())
    return words


def _stems(name: str, ending: str) -> set[str]:
    """The name without what tells old from new, with and without an ending stuck to it; numbers alone say nothing."""
    words = _words(name)
    stem = " ".join(part for part in words if part not in ROLES) or " ".join(
        part for part in words if part not in ROLES - LETTERS
    )
    stems = {stem, stem.removesuffix(ending) if len(stem) > 1 else stem}
    return {stem for stem in stems if re.search("[a-z]", stem)}


def _listed(pairs: Mapping[str, str]) -> str:
    return ", ".join(f"{name} from {other}" for name, other in pairs.items())
