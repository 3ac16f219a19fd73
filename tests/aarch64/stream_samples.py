"""Runs under emulation: ``stream_samples.py PROGRAM SAMPLES RESULTS`` steps a program through samples (T, n_in)."""

import platform
import sys

import numpy as np

import edgernn

program_file, samples_file, results_file = sys.argv[1:]
runner = edgernn.Runner(edgernn.load(program_file))
samples = np.load(samples_file)  # (T, n_in)
stepped = [runner.step(sample)["out"].copy() for sample in samples]  # T of (n_out,)
runner.reset()
np.savez(results_file, stepped=np.stack(stepped), run=runner.run(samples)["out"], machine=platform.machine())
