"""From the start of a Python process to the end of its first step, and to the first event of a stream."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.models import INPUTS, Model, samples
from benchmarks.timing import Spread

STEP = f"step([0.0] * {INPUTS})"
PROGRAMS = {
    "edgernn, converted program": f"import edgernn; edgernn.Runner(edgernn.load({{path!r}} + '.safetensors')).{STEP}",
    "edgernn, ONNX file": f"import edgernn; edgernn.Runner(edgernn.load({{path!r}} + '.onnx')).{STEP}",
    "onnxruntime, ONNX file": (
        "import numpy, onnxruntime; session = onnxruntime.InferenceSession({path!r} + '.onnx'); "
        "session.run(None, {{port.name: numpy.zeros(port.shape, numpy.float32) for port in session.get_inputs()}})"
    ),
}
ENVIRONMENT = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}  # compiled modules are kept, as they usually are
REPORT = "; import time; print(time.clock_gettime_ns(time.CLOCK_MONOTONIC))"


def measure_startup(model: Model, rounds: int) -> dict[str, Spread]:
    """Times by program, in ns, with a warm kernel cache: an untimed first round fills it."""
    import edgernn

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, model.name)
        path.with_suffix(".onnx").write_bytes(model.onnx())
        edgernn.save(edgernn.load(path.with_suffix(".onnx")), path.with_suffix(".safetensors"))
        programs = {name: code.format(path=str(path)) + REPORT for name, code in PROGRAMS.items()}
        times_ns: dict[str, list[float]] = {name: [] for name in programs}
        for turn in range(rounds + 1):
            for name, code in programs.items():
                start = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
                process = subprocess.run(
                    [sys.executable, "-c", code], env=ENVIRONMENT, check=True, capture_output=True, text=True
                )
                if turn:
                    times_ns[name].append(int(process.stdout) - start)
    return {name: Spread.of(times) for name, times in times_ns.items()}


def measure_first_event(model: Model, rounds: int) -> Spread:
    """From the start of ``edgernn run`` on a replay to its first event on standard output, in ns, with warm caches."""
    import edgernn

    with tempfile.TemporaryDirectory() as folder:
        onnx_file, program, replay = (Path(folder, f"{model.name}{end}") for end in (".onnx", ".safetensors", ".csv"))
        onnx_file.write_bytes(model.onnx())
        edgernn.save(edgernn.load(onnx_file), program)
        np.savetxt(replay, samples(1000), fmt="%.3f", delimiter=",")
        # a threshold that the first output passes
        command = [sys.executable, "-m", "edgernn", "run", program, replay, "--threshold", "0.01"]
        times_ns = []
        for turn in range(rounds + 1):
            start = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            assert process.stdout is not None
            event = process.stdout.readline()
            arrived = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            process.communicate()
            if not event:
                sys.exit("edgernn run gave no event")
            if turn:
                times_ns.append(arrived - start)
    return Spread.of(times_ns)
