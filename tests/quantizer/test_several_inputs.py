"""Models with several inputs: recordings, normalisation and sensor counts belong to each of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgernn import Runner, quantize
from edgernn.errors import InputError, QuantizationError
from edgernn.evaluation.equivalence import recorded_sequences
from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription
from edgernn.program.metadata import Metadata
from edgernn.program.operations import Binary, Dense
from edgernn.program.program import Program

MEAN, STD = (1.0, -2.0, 30.0), (0.5, 4.0, 2.0)
RNG = np.random.default_rng(5)
MOTION = RNG.normal(MEAN[:2], STD[:2], (300, 2)).round(1)  # (T, 2) raw units
HEAT = RNG.normal(MEAN[2:], STD[2:], (300, 1)).round(1)  # (T, 1)
M, H = RNG.uniform(-1, 1, (3, 2)).astype(np.float32), RNG.uniform(-1, 1, (3, 1)).astype(np.float32)


def fusion(mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD) -> Program:
    """``M @ motion + H @ heat`` of normalised inputs."""
    description = ProgramDescription(
        inputs=(InputDescription("motion", (2,)), InputDescription("heat", (1,))),
        outputs=(OutputDescription("y", "y", per_frame=True),),
        operations=(
            Dense(name="m", inputs=("motion",), outputs=("a",), W="M"),
            Dense(name="h", inputs=("heat",), outputs=("b",), W="H"),
            Binary(name="sum", inputs=("a", "b"), outputs=("y",), function="Add"),
        ),
        metadata=Metadata(mean=mean, std=std),
    )
    return Program(description, {"M": M, "H": H})


def expected() -> np.ndarray:
    """What NumPy makes of the recordings (T, 3)."""
    return (MOTION - MEAN[:2]) / STD[:2] @ M.T + (HEAT - MEAN[2:]) / STD[2:] @ H.T


@pytest.mark.parametrize("form", ["dict", "npz", "columns"])
def test_each_input_has_its_part_of_recording_and_normalisation(form: str, tmp_path: Path) -> None:
    path = tmp_path / ("columns.csv" if form == "columns" else "both.npz")
    if form == "columns":
        path.write_text("\n".join(",".join(map(str, row)) for row in np.hstack([MOTION, HEAT])))
    else:
        np.savez(path, motion=MOTION, heat=HEAT)
    program = fusion()
    int8 = quantize(program, {"motion": MOTION, "heat": HEAT} if form == "dict" else path, count_size=(0.1, 0.1, 0.1))
    counts = {"motion": np.rint(MOTION * 10).astype(np.int32), "heat": np.rint(HEAT * 10).astype(np.int32)}
    runner, scale = Runner(int8), int8.values[int8.outputs[0].name.removesuffix(".float32")].scale
    raw = [runner.step_raw({name: column[t] for name, column in counts.items()}).copy() for t in range(100)]
    np.testing.assert_allclose(np.array(raw) * scale, expected()[:100], atol=0.03)
    if form != "dict":
        Y = Runner(program).run(recorded_sequences(program, path))
        np.testing.assert_allclose(Y, expected(), atol=1e-5)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"motion": MOTION, "heat": HEAT[:20]}, "300 of motion, 20 of heat"),
        ({"samples": MOTION}, "has 2 numbers in a sample, the model takes 2 of motion and 1 of heat"),
        ({"motion": MOTION}, "no array 'samples'; it has 'motion'"),
        ({"motion": MOTION, "heat": np.full((300, 1), np.nan)}, "in heat, sample 0 is not finite"),
        ({"motion": MOTION, "heat": np.full((300, 1), "warm")}, "heat holds no numbers"),
    ],
    ids=["lengths", "columns", "missing", "not finite", "words"],
)
def test_a_file_that_does_not_hold_all_inputs(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(InputError, match=message):
        recorded_sequences(fusion(), tmp_path / "x.npz")
    with pytest.raises(QuantizationError, match=message):
        quantize(fusion(), tmp_path / "x.npz")


def test_numbers_for_some_channels_only_are_refused() -> None:
    calibration = {"motion": MOTION, "heat": HEAT}
    with pytest.raises(InputError, match=r"1 means, which are 1 for the 2 numbers of input motion"):
        quantize(fusion((1.0,), (1.0,)), calibration)
    with pytest.raises(QuantizationError, match="count_size has 2 entries, it must have 1 or 3"):
        quantize(fusion(), calibration, count_size=(0.1, 0.1))


def test_progress_is_told_to_the_end() -> None:
    told: list[tuple[int, int]] = []
    quantize(
        fusion(),
        {"motion": np.tile(MOTION, (4, 1)), "heat": np.tile(HEAT, (4, 1))},
        on_progress=lambda *p: told.append(p),
    )
    assert told == [(500, 1200), (1000, 1200), (1200, 1200)]
