"""The benchmark's results as Markdown and JSON, and the targets they are held against."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field

from benchmarks.graphs import LOOP as GRAPH_LOOP
from benchmarks.graphs import OPERATORS, OWN, PEER, TCN, WEIGHTS
from benchmarks.models import Model
from benchmarks.timing import Spread

# how many times faster a step must be than a peer's, by hidden size; p50 against p50 of one run
LITERT_TARGETS = {16: 12.0, 32: 12.0, 64: 5.0, 128: 2.3, 256: 1.4}
STEP_TARGETS = {
    "onnxruntime IOBinding": {16: 20.0, 32: 20.0, 64: 8.0, 128: 3.5, 256: 1.8},
    "LiteRT": LITERT_TARGETS,
    "LiteRT in place": LITERT_TARGETS,
}
# how many times faster than the float step an int8 step must be, by cells and hidden size; w8a8 with VNNI
INT8_TARGETS = {
    ("edgernn w8a8", "gru"): {64: 1.6, 128: 2.3, 256: 3.2},
    ("edgernn w8a8", "lstm"): {64: 1.6, 128: 2.3, 256: 3.2},
    ("edgernn w8a8", "rnn"): {128: 2.3, 256: 3.2},
    ("edgernn w8a16", "gru"): {64: 1.4, 128: 1.9, 256: 2.5},
    ("edgernn w8a16", "lstm"): {64: 1.4, 128: 1.9, 256: 2.5},
    ("edgernn w8a16", "rnn"): {128: 1.9, 256: 2.5},
}
INT8_NET_TARGET = 1.0  # the same for nets of small operations
TAIL_TARGET, TAIL_CELLS, TAIL_SIZES = 1.3, ("gru", "lstm"), (64, 128)  # p99 over p50 at most
KERNEL_TARGET, KERNEL_LEAST_SIZE = 1.1, 32  # time over the C kernel's at most
STREAM_TARGET_NS = 1000.0  # a sample, bytes to scores
STARTUP_TARGET_NS = 0.5e9
FIRST_EVENT_TARGET_NS = 0.6e9
PACED_TARGETS = {("gru64", "onnxruntime IOBinding"): 6.0}  # by model and peer, as STEP_TARGETS
GRAPH_TARGET = 60.0  # how many times faster a TCN step must be than onnxruntime on the receptive field
WEIGHTS_TARGET = 1.5  # time of a TCN step in a loop over that of reading its weights, at most
OPERATORS_TARGET_NS = 1000.0  # a step of thirty small operators
OPERATIONS_TARGET = 0.05  # by which timing the operations may make a step longer

PROJECT = "edgernn"
ALONE = "edgernn, alone"  # without other benchmark targets between its blocks
LOOP, C_LOOP = "edgernn run", "C loop"
FIRST_EVENT = "edgernn run, replay to first event"
WHOLE_PATH = "{} to decisions"  # format
TIMER = "empty call"
C_STEP = "C kernel, timed in C"


@dataclass
class Results:
    """All that was measured. Times by model name, then by benchmark target."""

    machine: dict[str, str]
    versions: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    models: list[Model] = field(default_factory=list)
    errors: dict[str, dict[str, float]] = field(default_factory=dict)
    hot: dict[str, dict[str, Spread]] = field(default_factory=dict)
    paced: dict[str, dict[str, Spread]] = field(default_factory=dict)
    loop: dict[str, dict[str, Spread]] = field(default_factory=dict)
    stream: dict[str, Spread] = field(default_factory=dict)
    startup: dict[str, Spread] = field(default_factory=dict)
    graphs: dict[str, dict[str, Spread]] = field(default_factory=dict)
    nets: dict[str, dict[str, Spread]] = field(default_factory=dict)
    operations_cost: float | None = None

    def json(self) -> str:
        """Everything, with the targets."""
        contents = asdict(self) | {"targets": [asdict(target) for target in targets(self)]}
        contents["models"] = [model.name for model in self.models]
        return json.dumps(contents, indent=1)

    def markdown(self) -> str:
        """The tables that a person reads."""
        return "\n".join(_markdown(self)) + "\n"


@dataclass(frozen=True)
class Target:
    """One figure held against what was promised; `value` has to be at least or at most `bound`."""

    what: str
    model: str
    value: float
    bound: float
    at_least: bool
    unit: str = "x"

    @property
    def met(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def targets(results: Results) -> list[Target]:
    """Every target for which there is a figure."""
    return [
        *_step_targets(results),
        *_int8_targets(results),
        *_paced_targets(results),
        *_kernel_targets(results),
        *_time_targets(results),
        *_graph_targets(results),
    ]


def _step_targets(results: Results) -> Iterator[Target]:
    for model in results.models:
        spreads = results.hot.get(model.name, {})
        if PROJECT not in spreads:
            continue
        own = spreads[PROJECT]
        for peer, bounds in STEP_TARGETS.items():
            if peer in spreads and model.hidden_size in bounds:
                ratio = spreads[peer].p50_ns / own.p50_ns
                yield Target(f"step faster than {peer}", model.name, ratio, bounds[model.hidden_size], at_least=True)
        if model.cell in TAIL_CELLS and model.hidden_size in TAIL_SIZES:
            yield Target("step p99 over p50", model.name, own.p99_ns / own.p50_ns, TAIL_TARGET, at_least=False)
            if ALONE in spreads:
                ratio = spreads[ALONE].p99_ns / spreads[ALONE].p50_ns
                yield Target("step p99 over p50, alone", model.name, ratio, TAIL_TARGET, at_least=False)


def _int8_targets(results: Results) -> Iterator[Target]:
    for model in results.models:
        spreads = results.hot.get(model.name, {})
        for (name, cell), bounds in INT8_TARGETS.items():
            if cell == model.cell and model.hidden_size in bounds and {PROJECT, name} <= spreads.keys():
                ratio = spreads[PROJECT].p50_ns / spreads[name].p50_ns
                yield Target(f"{name} faster than float", model.name, ratio, bounds[model.hidden_size], at_least=True)
    for net, spreads in results.nets.items():
        for name, spread in spreads.items():
            if name != PROJECT:
                ratio = spreads[PROJECT].p50_ns / spread.p50_ns
                yield Target(f"{name} faster than float", net, ratio, INT8_NET_TARGET, at_least=True)


def _paced_targets(results: Results) -> Iterator[Target]:
    for (name, peer), bound in PACED_TARGETS.items():
        spreads = results.paced.get(name, {})
        if {PROJECT, peer} <= spreads.keys():
            ratio = spreads[peer].p50_ns / spreads[PROJECT].p50_ns
            yield Target(f"paced step faster than {peer}", name, ratio, bound, at_least=True)


def _kernel_targets(results: Results) -> Iterator[Target]:
    for model in results.models:
        spreads = results.loop.get(model.name, {})
        if {LOOP, C_LOOP} <= spreads.keys() and model.hidden_size >= KERNEL_LEAST_SIZE:
            # the least of many loops: a neighbour on the machine can only add to a loop's time
            ratio = spreads[LOOP].least_ns / spreads[C_LOOP].least_ns
            yield Target("run over C loop", model.name, ratio, KERNEL_TARGET, at_least=False)


def _time_targets(results: Results) -> Iterator[Target]:
    whole = WHOLE_PATH.format("csv")
    if whole in results.stream:
        p50_ns = results.stream[whole].p50_ns
        yield Target("bytes to scores, a sample", whole, p50_ns, STREAM_TARGET_NS, at_least=False, unit="ns")
    for name, spread in results.startup.items():
        if name.startswith(PROJECT):
            what, bound_ns = "process start to first step", STARTUP_TARGET_NS
            if name == FIRST_EVENT:
                what, bound_ns = "process start to first event", FIRST_EVENT_TARGET_NS
            yield Target(what, name, spread.p50_ns / 1e9, bound_ns / 1e9, at_least=False, unit="s")
    if results.operations_cost is not None:
        share = 100 * results.operations_cost
        yield Target("timing operations, longer by", "gru32", share, 100 * OPERATIONS_TARGET, at_least=False, unit="%")


def _graph_targets(results: Results) -> Iterator[Target]:
    if TCN in results.graphs:
        spreads = results.graphs[TCN]
        ratio = spreads[PEER].p50_ns / spreads[OWN].p50_ns
        yield Target(f"step faster than {PEER}", TCN, ratio, GRAPH_TARGET, at_least=True)
        if WEIGHTS in spreads:
            ratio = spreads[GRAPH_LOOP].p50_ns / spreads[WEIGHTS].p50_ns
            yield Target(f"step in a loop over {WEIGHTS}", TCN, ratio, WEIGHTS_TARGET, at_least=False)
    if OPERATORS in results.graphs:
        p50_ns = results.graphs[OPERATORS][OWN].p50_ns
        yield Target("step", OPERATORS, p50_ns, OPERATORS_TARGET_NS, at_least=False, unit="ns")


def _markdown(results: Results) -> Iterator[str]:
    yield "# edgernn benchmark\n"
    yield from (f"- {name}: {fact}" for name, fact in results.machine.items())
    yield from (f"- {version}" for version in results.versions.values())
    yield from (f"- left out: {name} ({reason})" for name, reason in results.absent.items())
    if results.hot:
        yield "\n## Step, hot: p50/p99 in ns\n"
        yield from _spread_table(results.models, results.hot, _p50_p99)
        worst = max(error for errors in results.errors.values() for error in errors.values())
        yield f"\nEach was first checked against float64: largest difference of a score {worst:.1e}."
    if results.paced:
        yield "\n## Step, paced at 2 ms: p50/p99 in ns\n"
        yield from _spread_table(results.models, results.paced, _p50_p99)
    if results.loop:
        yield "\n## Steps in a compiled loop: least of many loops of 2000 steps, ns a step\n"
        yield from _spread_table(results.models, results.loop, _least)
    for name, spreads in (results.graphs | results.nets).items():
        yield f"\n## {name}: ns a step\n"
        yield from _rows(("", "p50", "p99"), ((k, f"{s.p50_ns:.0f}", f"{s.p99_ns:.0f}") for k, s in spreads.items()))
    if results.stream:
        yield "\n## Bytes to scores, GRU 32 with 6 channels, reads of 64 samples: ns a sample\n"
        yield from _rows(
            ("path", "p50", "p99"), ((name, f"{s.p50_ns:.0f}", f"{s.p99_ns:.0f}") for name, s in results.stream.items())
        )
    if results.startup:
        yield "\n## Process start to first step or event: s\n"
        yield from _rows(
            ("program", "p50", "least"),
            ((name, f"{s.p50_ns / 1e9:.3f}", f"{s.least_ns / 1e9:.3f}") for name, s in results.startup.items()),
        )
    yield "\n## Targets\n"
    yield from _target_table(targets(results), required="avx512f" in results.machine["features"].split())


def _p50_p99(spread: Spread) -> str:
    return f"{spread.p50_ns:.0f}/{spread.p99_ns:.0f}"


def _least(spread: Spread) -> str:
    return f"{spread.least_ns:.0f}"


def _spread_table(
    models: list[Model], spreads: dict[str, dict[str, Spread]], cell: Callable[[Spread], str]
) -> Iterator[str]:
    measured = [model.name for model in models if model.name in spreads]
    benchmark_targets = dict.fromkeys(benchmark_target for name in measured for benchmark_target in spreads[name])
    rows = ((name, *(cell(spreads[model][name]) for model in measured)) for name in benchmark_targets)
    yield from _rows(("", *measured), rows)


def _target_table(held: list[Target], *, required: bool) -> Iterator[str]:
    if not required:
        yield "They are promised for a CPU with AVX-512, which this is not: reported, not required.\n"
    rows = (
        (
            target.what,
            target.model,
            f"{target.value:.2f} {target.unit}",
            f"{'at least' if target.at_least else 'at most'} {target.bound:g} {target.unit}",
            "met" if target.met else "not met",
        )
        for target in held
    )
    yield from _rows(("target", "of", "measured", "promised", ""), rows)
    yield f"\n{sum(target.met for target in held)} of {len(held)} met."


def _rows(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
