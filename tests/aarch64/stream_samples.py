"""Runs under emulation: ``stream_samples.py PROGRAM SAMPLES RESULTS`` steps a program through samples (T, n_in)."""

import platform
import sys

import numpy as np

import edgernn


def main(program_file: str, samples_file: str, results_file: str) -> None:
    """Step through the samples, run through them, and keep both results."""
    runner = edgernn.Runner(edgernn.load(program_file))
    samples = np.load(samples_file)  # (T, n_in)
    stepped = [runner.step(sample)["out"].copy() for sample in samples]  # T of (n_out,)
    runner.reset()
    np.savez(results_file, stepped=np.stack(stepped), run=runner.run(samples)["out"], machine=platform.machine())


if __name__ == "__main__":
    main(*sys.argv[1:])
