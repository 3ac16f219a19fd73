"""Trained nets of small operations, in integers beside float: a FastGRNN that is written out, and convolutions.

Their steps are many short operations, where eight bits save nothing by themselves.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import timing
from benchmarks.int8_peers import INT8_PEERS
from benchmarks.peers import Edgernn
from benchmarks.timing import Spread

if TYPE_CHECKING:
    from edgernn.program.program import Program

WATCH = Path(__file__).parents[2] / "tests" / "models" / "watch"
NETS = ("fastgrnn", "tcn")
ROWS, BLOCK_STEPS = 2000, 500
CALIBRATION_STRIDE, CALIBRATION_STEPS = 9, 30  # of 98 recordings of 100 steps; all seven exercises are among them
MIN_AGREEMENT = 0.95  # of steps with the same label; tools/int8_accuracy.py measures it on whole recordings


@cache
def programs(name: str) -> dict[str, Program]:
    """The net by that name, float and int8, by benchmark target.

    How many steps a net is calibrated on does not change what its step takes: some of the recordings are enough.
    """
    import edgernn

    with np.load(WATCH / "calibration.npz") as arrays:
        recordings = np.split(arrays["samples"], arrays["interval_start"][1:])[::CALIBRATION_STRIDE]
    calibration = [samples[:CALIBRATION_STEPS] for samples in recordings]
    program = edgernn.load(WATCH / f"{name}.onnx")
    int8 = {peer.name: edgernn.quantize(program, calibration, operands=peer.operands) for peer in INT8_PEERS}
    return {Edgernn.name: program, **int8}


def measure_net(name: str, steps: int) -> dict[str, Spread]:
    """Times of a step of the net by that name, float and int8, on recordings that it has not seen.

    Raises
    ------
    ValueError
        They compute something else.
    """
    from edgernn import Runner

    with np.load(WATCH / "held_out.npz") as arrays:
        X = arrays["samples"][:ROWS].astype(np.float32)
    runners = {peer: Runner(program) for peer, program in programs(name).items()}
    labels = {peer: runner.run(X).argmax(axis=1) for peer, runner in runners.items()}
    for peer, found in labels.items():
        agreement = float(np.mean(found == labels[Edgernn.name]))
        if agreement < MIN_AGREEMENT:
            raise ValueError(
                f"{peer} computes something else for {name}: {agreement:.1%} of its labels are those of float"
            )
    benchmark_targets = {peer: timing.hot(runner.step) for peer, runner in runners.items()}
    return timing.interleave(benchmark_targets, list(X), steps, BLOCK_STEPS)
