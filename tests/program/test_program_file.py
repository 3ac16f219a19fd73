"""Program files: what is saved is what is loaded, and a damaged file is a clear error."""

from __future__ import annotations

import json
import random
import stat
import struct
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from firmware_step_programs import INTEGER_PROGRAMS, PROGRAMS
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Programs
from safetensors.numpy import save as to_bytes

from edgernn.errors import MalformedModelError, ProgramFileError, UnsupportedModelError
from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription, StateSlot, Window
from edgernn.program.encoding import decode, encode
from edgernn.program.file import METADATA_KEY, load_program, parse_program, save
from edgernn.program.metadata import DecisionSettings, Metadata
from edgernn.program.operations import Binary, Dense, Gru, ReadState, Rearrange, Softmax, StateRegion, WriteState
from edgernn.program.program import Program
from edgernn.reference.runner import ReferenceRunner
from edgernn.runtime.plan import plan_of
from edgernn.runtime.runner import Runner

# sines of large numbers are not the same in float32 and float64
STEP_PROGRAMS = Programs(
    {name: PROGRAMS.maker(name) for name in PROGRAMS if name != "elements"} | INTEGER_PROGRAMS.with_prefix("integers_")
)

METADATA = Metadata(
    labels=("rest", "wave ✋"),
    channels=("x", "y", "z"),
    units=("m/s²", "m/s²", "m/s²"),
    rate_hz=50.0,
    mean=(0.1, 0.2, 9.81),
    std=(1.0, 2.0, 1e-3),
    window_steps=100,
    decision=DecisionSettings(threshold=0.7, release=0.1, nothing="rest"),
)


def make_program(seed: int = 0, input_size: int = 3, hidden_size: int = 5, window: Window | None = None) -> Program:
    """A program with every kind of thing that a file must keep: cells, states, constants, indices, metadata."""
    rng = np.random.default_rng(seed)

    def weight(*shape: int) -> np.ndarray[Any, Any]:
        return rng.uniform(-1, 1, shape).astype(np.float32)

    description = ProgramDescription(
        inputs=(InputDescription("input", (input_size,)),),
        outputs=(OutputDescription("scores", "scores", per_frame=True),),
        state=(StateSlot("gru.h", (1, hidden_size), initial="h0"), StateSlot("last", (2,))),
        operations=(
            Binary(name="centre", inputs=("input",), outputs=("centred",), function="Sub", constant="mean"),
            Gru(
                name="gru",
                inputs=("centred",),
                outputs=("h",),
                W="W",
                R="R",
                B="B",
                h=StateRegion("gru.h"),
                linear_before_reset=True,
                clip=0.1 + seed,
            ),
            Dense(name="head", inputs=("h",), outputs=("logits",), W="head.W"),
            Rearrange(name="swap", inputs=("logits",), outputs=("swapped",), shape=(2,), indices="swap.indices"),
            ReadState(name="read", inputs=(), outputs=("old",), region=StateRegion("last"), shape=(2,)),
            Binary(name="add", inputs=("swapped", "old"), outputs=("sum",), function="Add"),
            WriteState(name="write", inputs=("swapped",), outputs=(), region=StateRegion("last"), size=2),
            Softmax(name="softmax", inputs=("sum",), outputs=("scores",)),
        ),
        mode_reason="causal",
        window=window,
        trained_steps=100,
        warnings=("an example",),
        metadata=METADATA,
    )
    return Program(
        description,
        {
            "mean": weight(),
            "W": weight(3 * hidden_size, input_size),
            "R": weight(3 * hidden_size, hidden_size),
            "B": weight(6 * hidden_size),
            "h0": weight(1, hidden_size),
            "head.W": weight(2, hidden_size),
            "swap.indices": np.array([1, 0], np.int32),
        },
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "example.safetensors"
    save(make_program(window=Window(100, 25)), path)
    return path


@settings(max_examples=25)
@given(
    seed=st.integers(0, 1000),
    input_size=st.integers(1, 7),
    hidden_size=st.integers(1, 9),
    window=st.none() | st.builds(Window, st.integers(1, 200), st.integers(1, 50)),
)
def test_save_and_load_give_the_same_program(
    tmp_path_factory: pytest.TempPathFactory, seed: int, input_size: int, hidden_size: int, window: Window | None
) -> None:
    program = make_program(seed, input_size, hidden_size, window)
    path = tmp_path_factory.mktemp("round") / "program.safetensors"
    save(program, path)
    loaded = load_program(path)
    assert loaded.description == program.description
    assert loaded.hash == program.hash
    assert loaded.metadata == program.metadata
    assert loaded.weights.keys() == program.weights.keys()
    for name, array in program.weights.items():
        assert loaded.weights[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded.weights[name], array)


def test_saving_twice_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.safetensors"
    save(load_program(saved), again)
    assert again.read_bytes() == saved.read_bytes()


def test_saving_replaces_a_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "program.safetensors"
    path.write_bytes(b"old")
    save(make_program(), path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["program.safetensors"]
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_a_failed_save_keeps_the_old_file(tmp_path: Path) -> None:
    folder = tmp_path / "taken.safetensors"
    folder.mkdir()
    (folder / "file").touch()
    with pytest.raises(OSError, match="taken"):
        save(make_program(), folder)
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken.safetensors"]


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProgramFileError, match=r"must end in \.safetensors"):
        save(make_program(), tmp_path / "program.bin")


def test_tensors_without_a_program_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "plain.safetensors"
    path.write_bytes(to_bytes({"W": np.zeros((2, 2), np.float32)}))
    with pytest.raises(ProgramFileError, match="no edgernn program"):
        load_program(path)


def test_unknown_number_types_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    path.write_bytes(to_bytes({"W": np.zeros(2, np.float16)}))
    with pytest.raises(ProgramFileError, match="'W' holds 'F16'"):
        load_program(path)


def test_loading_imports_neither_onnx_nor_numba(saved: Path, run_python: Callable[..., str]) -> None:
    code = """
        import sys
        from edgernn.program.file import load_program
        print(load_program(sys.argv[1]).hash, "onnx" in sys.modules, "numba" in sys.modules)
    """
    assert run_python(code, str(saved)).split() == [load_program(saved).hash, "False", "False"]


def split(blob: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """The header, the description inside it, and the tensors' bytes."""
    (length,) = struct.unpack("<Q", blob[:8])
    header = json.loads(blob[8 : 8 + length])
    return header, json.loads(header["__metadata__"][METADATA_KEY]), blob[8 + length :]


def join(header: dict[str, Any], description: Any, tensors: bytes) -> bytes:
    header = header | {"__metadata__": {METADATA_KEY: json.dumps(description)}}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + tensors


def test_a_newer_format_is_refused(saved: Path, tmp_path: Path) -> None:
    header, description, tensors = split(saved.read_bytes())
    path = tmp_path / "newer.safetensors"
    path.write_bytes(join(header, {"format": 2, "program": {"unheard": "of"}}, tensors))
    with pytest.raises(ProgramFileError, match=r"format 2.*update edgernn"):
        load_program(path)
    path.write_bytes(join(header, description, tensors))
    assert load_program(path).hash == load_program(saved).hash


@pytest.mark.parametrize(
    ("length", "size"),
    [(0, 0), (0, 4), (1 << 63, 100), ((1 << 64) - 1, 8), (1 << 25, 100), (100, 50)],
)
def test_claims_larger_than_the_file_are_refused_before_they_are_read(tmp_path: Path, length: int, size: int) -> None:
    path = tmp_path / "claim.safetensors"
    path.write_bytes((struct.pack("<Q", length) + bytes(size))[:size])
    with pytest.raises(ProgramFileError, match="claims a header"):
        load_program(path)


def test_a_file_beyond_the_bound_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "sparse.safetensors"
    with path.open("wb") as file:
        file.truncate(2 << 30)  # a hole: takes no space on the disk
    with pytest.raises(ProgramFileError, match=f"has {2 << 30} bytes"):
        load_program(path)


def test_nan_weights_are_refused(saved: Path, tmp_path: Path) -> None:
    header, description, tensors = split(saved.read_bytes())
    start = header["W"]["data_offsets"][0]
    path = tmp_path / "nan.safetensors"
    path.write_bytes(join(header, description, tensors[:start] + struct.pack("<f", np.nan) + tensors[start + 4 :]))
    with pytest.raises(MalformedModelError, match="W holds NaN"):
        load_program(path)


WILD = [
    None,
    True,
    -1,
    0,
    1,
    2,
    3,
    65,
    1 << 31,
    1 << 62,
    10**40,
    1e308,
    -0.5,
    "",
    "x",
    "h",
    "\0\x1b[2J",
    [],
    {},
    [[]],
    [-1],
]


def mutated_json(value: Any, rng: random.Random) -> Any:
    """A copy of a JSON value in which one place, somewhere inside, was replaced, removed or doubled."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.05:
        return rng.choice(WILD)
    keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
    copy, key = value.copy(), rng.choice(keys)
    action = rng.random()
    if action < 0.1:
        del copy[key]
    elif action < 0.2 and isinstance(copy, list):
        copy.insert(key, copy[rng.choice(keys)])
    elif action < 0.25 and isinstance(copy, dict):
        copy[rng.choice(["extra", *keys])] = copy[key]
    else:
        copy[key] = mutated_json(copy[key], rng)
    return copy


def mutated_bytes(blob: bytes, rng: random.Random) -> bytes:
    """A copy with a few bytes changed, a piece removed or repeated, or the end cut off."""
    copy = bytearray(blob)
    place = rng.randrange(len(copy))
    action = rng.randrange(4)
    if action == 0:
        for _ in range(rng.randint(1, 4)):
            copy[rng.randrange(len(copy))] = rng.randrange(256)
    elif action == 1:
        del copy[place:]
    elif action == 2:
        del copy[place : place + rng.randint(1, 40)]
    else:
        copy[place:place] = copy[place : place + rng.randint(1, 40)]
    return bytes(copy)


@pytest.fixture(scope="module")
def blobs(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Files of programs with every kind of operation, schedule and loop."""
    path = tmp_path_factory.mktemp("programs") / "program.safetensors"
    found = [saved.read_bytes()]
    for program in STEP_PROGRAMS.values():
        save(program, path)
        found.append(path.read_bytes())
    return found


@pytest.mark.parametrize("kind", ["bytes", "header bytes", "description", "tensors"])
def test_ten_thousand_mutations_load_or_are_refused(blobs: list[bytes], kind: str) -> None:
    rng = random.Random(kind)
    refused = 0
    for _ in range(2500):
        blob = rng.choice(blobs)
        header, description, tensors = split(blob)
        if kind == "bytes":
            mutant = mutated_bytes(blob, rng)
        elif kind == "header bytes":
            length = len(blob) - len(tensors)
            mutant = mutated_bytes(blob[:length], rng) + tensors
        elif kind == "description":
            mutant = join(header, mutated_json(description, rng), tensors)
        else:
            entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
            damaged = mutated_json(entries, rng)
            mutant = join(damaged if isinstance(damaged, dict) else {}, description, tensors)
        try:
            program = parse_program(mutant, Path("mutant"))
        except (ProgramFileError, MalformedModelError):
            refused += 1
        else:
            assert program.hash
            assert program.outputs
            assert program.mode in ("continuous", "delayed", "windowed")
            assert program.multiply_accumulates >= 0
    assert refused > 500


NUMBERS = [-(1 << 30), -100, -5, -2, -1, 0, 1, 2, 3, 5, 8, 100, 65535, 1 << 20, 1 << 26, 1 << 30, 1 << 31, 1 << 40]


def with_other_numbers(value: Any, rng: random.Random) -> Any:
    """A copy of a JSON value in which one to three whole numbers or truth values are others."""
    copy = json.loads(json.dumps(value))
    places: list[tuple[Any, Any]] = []
    open_values = [copy]
    while open_values:
        inner = open_values.pop()
        for key, entry in inner.items() if isinstance(inner, dict) else enumerate(inner):
            if isinstance(entry, dict | list):
                open_values.append(entry)
            elif isinstance(entry, int):
                places.append((inner, key))
    for inner, key in rng.choices(places, k=rng.choice([1, 1, 2, 3])):
        number = inner[key]
        if isinstance(number, bool):
            inner[key] = not number
        else:
            inner[key] = rng.choice([number + rng.choice([-3, -2, -1, 1, 2, 3]), rng.choice(NUMBERS)])
    return copy


def is_small(program: Program) -> bool:
    """Whether its steps take neither long nor much memory."""
    work = sum(
        iterations * prod(program.values[name].size for name in operation.inputs)
        for iterations, operation in zip(program.iterations, program.operations, strict=True)
    )
    plan = plan_of(program)
    return plan.arena_bytes + plan.state_bytes < 1 << 24 and work * (1 + program.tail_steps) < 1 << 20


@pytest.mark.parametrize("seed", range(4))
def test_what_loads_with_other_numbers_runs_as_the_reference(seed: int) -> None:
    """Nothing is read that was not written: not behind the end of a value, and not of another step."""
    rng, compared = random.Random(seed), 0
    for _ in range(400):
        original = STEP_PROGRAMS[rng.choice(list(STEP_PROGRAMS))]
        description = with_other_numbers(json.loads(encode(original.description)), rng)
        try:
            program = Program(decode(json.dumps(description).encode()), original.weights)
            if not is_small(program):
                continue
        except (msgspec.ValidationError, MalformedModelError, UnsupportedModelError):
            continue
        runner, reference = Runner(program), ReferenceRunner(program)
        for x in samples(program, 12):
            assert_alike(program, runner.step(x), reference.step(x))
        expected = reference.flush()
        for name, frames in by_output(program, runner.flush()).items():
            frames_in_each = next(output.frames for output in program.description.outputs if output.name == name)
            assert len(frames) == len(expected[name]) * frames_in_each
        compared += 1
    assert compared > 40


def by_output(program: Program, outputs: Any) -> dict[str, Any]:
    return outputs if isinstance(outputs, dict) else {program.outputs[0].name: outputs}


def samples(program: Program, steps: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(steps)
    return [
        {
            port.name: rng.uniform(-2, 2, port.shape).astype(np.float32)
            if port.dtype == "float32"
            else rng.integers(0, 2, port.shape).astype(port.dtype)
            for port in program.inputs
        }
        for _ in range(steps)
    ]


def assert_alike(program: Program, found: Any, expected: Any) -> None:
    for name, frame in by_output(program, found).items():
        other = by_output(program, expected)[name]
        assert (frame is None) == (other is None), name
        if frame is not None and np.abs(other).max() < 1e6:
            np.testing.assert_allclose(frame, other, rtol=1e-3, atol=1e-3)


def test_deep_nesting_is_refused(saved: Path, tmp_path: Path) -> None:
    header, _, tensors = split(saved.read_bytes())
    path = tmp_path / "deep.safetensors"
    deep = "[" * 100_000
    for text in (deep, '{"format": 1, "program": ' + deep):
        inner = json.dumps(header | {"__metadata__": {METADATA_KEY: text}}).encode()
        path.write_bytes(struct.pack("<Q", len(inner)) + inner + tensors)
        with pytest.raises(ProgramFileError, match="damaged"):
            load_program(path)


def test_the_header_is_plain_json(saved: Path) -> None:
    """Other tools can read what the file holds."""
    header, description, _ = split(saved.read_bytes())
    assert description["format"] == 1
    assert description["program"]["metadata"]["labels"] == ["rest", "wave ✋"]
    assert header["W"]["dtype"] == "F32"
    assert msgspec.convert(description["program"], ProgramDescription) == load_program(saved).description


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*missing"):
        save(make_program(), tmp_path / "missing" / "gru.safetensors")
