"""Speed of edgernn beside other runtimes, on this machine.

Usage: ``python tools/bench.py --help``. Needs the extra ``bench`` (``pip install '.[bench]'``) and gcc; what is not
installed is left out and named. Run it on an idle machine.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import click
import msgspec
import numpy as np
from benchmarks import floor, graphs, report, timing
from benchmarks.int8_nets import NETS, measure_net
from benchmarks.int8_peers import INT8_PEERS
from benchmarks.machine import describe_machine
from benchmarks.models import CELLS, Cell, Model, samples
from benchmarks.peers import PEERS, Edgernn, Peer
from benchmarks.startup import measure_first_event, measure_startup
from benchmarks.stream_path import measure_stream

from edgernn.cli.options import option_group

SIZES, QUICK_SIZES = "16,32,64,128,256", "32,64"
CHECKED_STEPS = 200
C_KERNEL = "C kernel"
ROWS = 2000  # inputs that the steps go through again and again
LOOP_TURNS, LOOP_ROUNDS = 40, 5
SMALL_MODEL = Model("gru", 32)  # for start-up and bytes to scores


class StepOptions(msgspec.Struct, frozen=True):
    """How many steps are timed."""

    steps: int | None
    paced_steps: int | None
    paced_size: int

    def counts(self, quick: bool) -> tuple[int, int]:
        """Steps one after the other, and steps with a pause between them."""
        hot = self.steps or (2000 if quick else 20_000)
        return hot, (100 if quick else 500) if self.paced_steps is None else self.paced_steps


step_options = option_group(
    "steps",
    StepOptions,
    (
        click.option(
            "--steps", type=int, help="Timed steps of each peer and model; 20000 if not given, with --quick 2000."
        ),
        click.option(
            "--paced-steps", type=int, help="The same with 2 ms between steps; 500, with --quick 100; 0 for none."
        ),
        click.option("--paced-size", default=64, show_default=True, help="Hidden size of the paced models."),
    ),
)


@click.command(context_settings={"max_content_width": 120})
@click.option("--cells", default=",".join(CELLS), show_default=True, help="Cells to measure.")
@click.option("--sizes", help=f"Hidden sizes; {SIZES} if not given, with --quick {QUICK_SIZES}.")
@click.option("--peers", default="", metavar="NAMES", help="Only peers with one of these words in their name.")
@click.option("--nets", default=",".join(NETS), show_default=True, help="Trained nets to measure in integers.")
@step_options
@click.option("--core", type=int, help="CPU core to run on; the last one allowed if not given.")
@click.option("--quick", is_flag=True, help="A look in a minute: fewer sizes and steps.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write all figures to this file.")
def bench(
    cells: str,
    sizes: str | None,
    peers: str,
    nets: str,
    steps: StepOptions,
    core: int | None,
    quick: bool,
    json_path: Path | None,
) -> None:
    """Measure a step of edgernn and of other runtimes; Markdown on standard output.

    Example: python tools/bench.py --sizes 32,64 --json figures.json > figures.md
    """
    sizes = sizes or (QUICK_SIZES if quick else SIZES)
    hot, paced = steps.counts(quick)
    core = max(os.sched_getaffinity(0)) if core is None else core
    results = report.Results(describe_machine(core))
    chosen = _choose(peers, results)
    chosen_cells = cast("list[Cell]", _listed(cells, CELLS, "--cells"))
    results.models = [Model(cell, int(size)) for cell in chosen_cells for size in sizes.split(",")]
    with timing.quiet(core):
        for model in results.models:
            click.echo(f"measuring {model.name}", err=True)
            _measure_model(results, model, chosen, hot, paced if model.hidden_size == steps.paced_size else 0)
        if Edgernn in chosen:
            click.echo("measuring bytes to scores, start-up and the cost of timing operations", err=True)
            results.stream = measure_stream(Edgernn(SMALL_MODEL).runner)
            results.startup = measure_startup(SMALL_MODEL, rounds=2 if quick else 11)
            results.startup[report.FIRST_EVENT] = measure_first_event(SMALL_MODEL, rounds=2 if quick else 11)
            results.operations_cost = _cost_of_operations(1 if quick else 5)
            if set(INT8_PEERS) <= set(chosen):
                for name in _listed(nets, NETS, "--nets"):
                    click.echo(f"measuring {name} in integers", err=True)
                    results.nets[name] = measure_net(name, hot)
            if any(peer.package == "onnxruntime" for peer in chosen):
                for graph in (graphs.tcn(), graphs.operators()):
                    click.echo(f"measuring {graph.name}", err=True)
                    results.graphs[graph.name] = graphs.measure_graph(graph, hot)
    click.echo(results.markdown())
    if json_path is not None:
        json_path.write_text(results.json())


def _listed(text: str, known: Sequence[str], option: str) -> list[str]:
    """Names separated by commas."""
    names = text.split(",")
    for name in names:
        if name not in known:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(known)}", param_hint=option)
    return names


def _choose(names: str, results: report.Results) -> list[type[Peer]]:
    """The peers to run; notes in the results what they are and which are absent."""
    wanted = [name.strip().lower() for name in names.split(",") if name.strip()]
    chosen = []
    for peer in (*PEERS, *INT8_PEERS):
        reason = peer.missing()
        if wanted and not any(name in peer.name.lower() for name in wanted):
            continue
        if reason:
            results.absent[peer.name] = reason
        else:
            results.versions[peer.package] = peer.describe()
            chosen.append(peer)
    if floor.compiler() is None:
        results.absent[C_KERNEL] = "gcc is not installed"
    return chosen


def _measure_model(
    results: report.Results, model: Model, chosen: list[type[Peer]], steps: int, paced_steps: int
) -> None:
    X = samples(ROWS)
    rows = list(X)
    peers = {peer.name: peer(model) for peer in chosen}
    kernel = floor.fastest(model) if floor.compiler() else None
    _check(results, model, peers, kernel)

    benchmark_targets = {report.TIMER: timing.hot(lambda x: None)}
    benchmark_targets |= {name: timing.hot(peer.step) for name, peer in peers.items()}
    if kernel is not None:
        benchmark_targets[report.C_STEP] = lambda block: kernel.time_steps(np.stack(block))
    results.hot[model.name] = timing.interleave(benchmark_targets, rows, steps, timing.BLOCK_STEPS)
    if Edgernn.name in peers:
        alone = {report.ALONE: timing.hot(peers[Edgernn.name].step)}
        results.hot[model.name] |= timing.interleave(alone, rows, steps, timing.BLOCK_STEPS)
    if paced_steps:
        benchmark_targets = {name: timing.paced(peer.step) for name, peer in peers.items()}
        results.paced[model.name] = timing.interleave(benchmark_targets, rows, paced_steps, timing.PACED_BLOCK_STEPS)

    loops = {}
    project = peers.get(Edgernn.name)
    if isinstance(project, Edgernn):
        loops[report.LOOP] = timing.per_row(project.runner.run, LOOP_ROUNDS, X, ROWS)
    if kernel is not None:
        loops[report.C_LOOP] = timing.per_row(kernel.run, LOOP_ROUNDS, X, ROWS)
    if loops:
        results.loop[model.name] = timing.interleave_runs(loops, LOOP_TURNS)


def _cost_of_operations(rounds: int) -> float:
    """By which share ``edgernn profile --operations`` makes a step longer; the middle of some rounds."""
    from edgernn.latency.operations import time_operations

    program = Edgernn(SMALL_MODEL).runner.program
    return statistics.median(abs(time_operations(program).change) for _ in range(rounds))


def _check(results: report.Results, model: Model, peers: dict[str, Peer], kernel: floor.Floor | None) -> None:
    """Refuse to time what does not compute the same as float64."""
    X = samples(CHECKED_STEPS)
    expected = model.reference(X)
    computed = {name: peer.scores(X) for name, peer in peers.items()}
    if kernel is not None:
        kernel.reset()
        computed[C_KERNEL] = kernel.run(X)
    limits = {name: peer.largest_error for name, peer in peers.items()} | {C_KERNEL: Peer.largest_error}
    errors = {name: float(np.abs(scores - expected).max()) for name, scores in computed.items()}
    for name, error in errors.items():
        if not error <= limits[name]:  # also refuses NaN
            sys.exit(f"{name} computes something else for {model.name}: its scores differ by {error:.1e} from float64")
    results.errors[model.name] = errors


if __name__ == "__main__":
    bench()
