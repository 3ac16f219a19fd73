"""The blocks of the documents run, on a small model and recordings in a folder of their own.

Recordings stand in for the ports of the text. Every other block says with ``no-run:`` why it does not run.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from document_blocks import CHECKOUT, DOCUMENTS, PAGES, Block, blocks
from numpy.typing import NDArray

from edgernn.__main__ import main
from edgernn.stream.config import resolve
from edgernn.stream.recording import LabelMark, RecordedChunk, RecordingInfo, encode_chunk, encode_heading, encode_mark

LABELS = ("rest", "wave", "circle")
RUN_STEPS = 100  # of one label
RUNS = 9
PORTS = {"/dev/ttyACM0": "monday.edgerec", "/dev/ttyACM1": "monday-heat.edgerec"}
SHOWN_ONLY = {"cpp"}  # checked by no test


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all files that the documents name."""
    folder = tmp_path_factory.mktemp("documents")
    samples, labels = recording()
    text = [",".join(f"{value:.4f}" for value in sample) for sample in samples]
    rows = [f"{line},{LABELS[label]}" for line, label in zip(text, labels, strict=True)]
    (folder / "monday.csv").write_text("\n".join(["x,y,z,label", *rows]) + "\n")
    np.savez(folder / "monday.npz", samples=samples, label=labels, label_names=np.array(LABELS))
    for name in ("gestures.edgerec", "monday.edgerec"):
        write_recording(folder / name, text, labels, period_ns=20_000_000)
    write_recording(folder / "monday-heat.edgerec", ["20.5"] * 20, None, period_ns=1_000_000_000)
    onnx.save(gesture_model(), folder / "gesture.onnx")
    add_metadata_as_the_readme_does(folder)
    shutil.copy(folder / "gesture.onnx", folder / "other.onnx")
    shutil.copy(folder / "gesture.onnx", folder / "model.onnx")
    onnx.save(gesture_model(heat=True), folder / "fusion.onnx")
    for page in ("decisions.md", "sources.md"):
        for block in blocks(PAGES / page):
            if block.language == "toml":
                (folder / toml_name(block)).write_text(with_recordings(block.text))
    return folder


@pytest.fixture
def folder(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory of a document."""
    shutil.copytree(shelf, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield tmp_path
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_blocks_run(path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks(path):
        if not block.remark:
            run_block(block, capsys)


def run_block(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    text = with_recordings(block.text)
    if block.language == "python":
        exec(compile(text, "a block of Python", "exec"), {})
    elif block.language == "toml":
        path = Path(toml_name(block))
        path.write_text(text)
        assert resolve({}, environment={}, path=path).model in {"gesture.onnx", "fusion.onnx"}
    elif block.language == "sh":
        lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
        for line in lines:
            assert line.startswith("edgernn ")
            status = main(shlex.split(line, comments=True)[1:])
            assert status == 0, f"{line}: {capsys.readouterr().err}"
    else:
        assert block.language in SHOWN_ONLY, f"how is a block of {block.language} run?"


def toml_name(block: Block) -> str:
    """The name of the file in the comment of its first line."""
    (name,) = re.findall(r"\A# ([\w-]+\.toml)\n", block.text)
    return str(name)


def with_recordings(text: str) -> str:
    """The text with recordings instead of ports."""
    for port, recording in PORTS.items():
        text = re.sub(rf"(serial://)?{port}(\?[\w=&]+)?", recording, text)
    return text


def recording() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Accelerations (N, 3) of rest, waving along x and circling along y in turn, and the label of each sample (N,)."""
    random = np.random.default_rng(3)
    labels = np.repeat(np.resize([0, 1, 0, 2], RUNS), RUN_STEPS)
    samples = random.normal((0, 0, 9.81), 0.3, (labels.size, 3))
    samples[labels == 1, 0] += 4
    samples[labels == 2, 1] += 4
    return samples.astype(np.float32), labels


def write_recording(path: Path, lines: list[str], labels: NDArray[np.int64] | None, *, period_ns: int) -> None:
    """What `edgernn record` writes of lines that come at an even pace."""
    parts = [encode_heading(RecordingInfo(source="a board", format="csv"))]
    for index, line in enumerate(lines):
        time_ns = (index + 1) * period_ns
        if labels is not None and (index == 0 or labels[index] != labels[index - 1]):
            parts.append(encode_mark(LabelMark(time_ns, time_ns, LABELS[labels[index]])))
        parts.append(encode_chunk(RecordedChunk(time_ns, time_ns, f"{line}\n".encode())))
    path.write_bytes(b"".join(parts))


def gesture_model(*, heat: bool = False) -> onnx.ModelProto:
    """A GRU of four units over three accelerations, beside them a head that knows waving and circling by their axis."""
    random = np.random.default_rng(1)
    C, H = 3, 4
    inputs = ["motion", "heat"] if heat else ["samples"]
    weights = {
        "W": random.uniform(-0.2, 0.2, (1, 3 * H, C)),
        "R": random.uniform(-0.2, 0.2, (1, 3 * H, H)),
        "B": np.zeros((1, 6 * H)),
        "V": np.vstack([np.zeros((H, 3)), [[0, 3, 0], [0, 0, 3], [0, 0, 0]]]),  # (H + C, labels)
        "bias": np.array([6.0, 0.0, 0.0]),
        "none": np.zeros((1, 3)),
    }
    nodes = [
        onnx.helper.make_node("Transpose", [inputs[0]], ["by_time"], perm=[1, 0, 2]),
        onnx.helper.make_node("GRU", ["by_time", "W", "R", "B"], ["Y"], hidden_size=H, linear_before_reset=1),
        onnx.helper.make_node("Squeeze", ["Y", "direction"], ["states"]),
        onnx.helper.make_node("Transpose", ["states"], ["h"], perm=[1, 0, 2]),
        onnx.helper.make_node("Concat", ["h", inputs[0]], ["features"], axis=-1),
        onnx.helper.make_node("MatMul", ["features", "V"], ["products"]),
        onnx.helper.make_node("Add", ["products", "bias"], ["logits"]),
        onnx.helper.make_node("Softmax", ["logits"], ["scores"], axis=-1),
    ]
    if heat:
        nodes[6:7] = [
            onnx.helper.make_node("MatMul", ["heat", "none"], ["warmth"]),
            onnx.helper.make_node("Add", ["products", "warmth"], ["sum"]),
            onnx.helper.make_node("Add", ["sum", "bias"], ["logits"]),
        ]
    initializers = [onnx.numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    initializers.append(onnx.numpy_helper.from_array(np.array([1]), "direction"))
    ports = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, "time", size])
        for name, size in zip(inputs, (C, 1), strict=False)
    ]
    scores = onnx.helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, [1, "time", 3])
    graph = onnx.helper.make_graph(nodes, "gesture", ports, [scores], initializers)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    if heat:
        onnx.helper.set_model_props(model, {"edgernn.labels": ",".join(LABELS), "edgernn.rate_hz": "50"})
    return model


def add_metadata_as_the_readme_does(folder: Path) -> None:
    """Run the part of the README's export that comes after PyTorch's."""
    (block,) = [block for block in blocks(CHECKOUT / "README.md") if block.remark == "no-run: needs torch"]
    part = block.text[block.text.index("exported = onnx.load") :].replace("gesture.onnx", str(folder / "gesture.onnx"))
    exec(part, {"json": json, "onnx": onnx})
