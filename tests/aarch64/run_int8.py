"""Runs under emulation: ``run_int8.py SAMPLES RESULTS PROGRAM`` runs an int8 program over samples (T, n_in)."""

import platform
import sys

import numpy as np

import edgernn
from edgernn.kernels.codegen.target import processor
from edgernn.kernels.int8.products.forms import forms_of


def main(samples_file: str, results_file: str, program_file: str) -> None:
    """Keep the outputs by name, and what they were computed with."""
    outputs = edgernn.Runner(edgernn.load(program_file)).run(np.load(samples_file))
    np.savez(results_file, machine=platform.machine(), forms=forms_of(processor(), 8), **outputs)


if __name__ == "__main__":
    main(*sys.argv[1:])
