"""Train the model of ``edgernn demo`` on the watch recordings, and cut the demo's recording. Run by hand.

Needs edgernn, torch (2.13 was used) and onnxruntime; takes some minutes on one core::

    python tools/train_demo.py watch_exercises.npz                    # edgernn/data: people 8, 9, 10 held out
    python tools/train_demo.py watch_exercises.npz --cross-validate   # every person held out once; writes nothing
    python tools/train_demo.py watch_exercises.npz --cell lstm --hidden 32 --output elsewhere

Cells are ``rnn``, ``gru``, ``lstm``, and those of watch_nets.py: ``fastgrnn``, which is exported as one step with its
state as input and output, and the convolutions of ``tcn``.

**What is trained.** A recurrent net that gives, after every sample, the probability of each exercise. It learns on
endless streams of exercises that follow one another, with a state that is carried on and never reset, as it will run:
the gradient goes back one chunk (`window_steps`), the state goes on to the next.

How a model is judged, and what a one-second vote is, stands in `votes.py`.
"""

from __future__ import annotations

import argparse
import copy
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from votes import Scores, macro_accuracy, print_confusion, recording_confusion, stream_confusion, window_confusion
from watch_data import RATE_HZ, UNITS, ExerciseStreams, Recording, WatchData, read_watch_data
from watch_nets import FastGrnn, Tcn

from edgernn.program.metadata import DecisionSettings, Metadata

CELLS = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}
MORE_CELLS = {"fastgrnn": FastGrnn, "tcn": Tcn}
HELD_OUT = (8, 9, 10)
STATE_PENALTY = 0.03  # of a FastGRNN, whose state has no bound: without it, it drifts in streams that have no end
FOLDS = ((1, 2), (3, 4), (5, 6), (7, 8), (9, 10))
# The best found on cross-validated nets: in 81 minutes of unseen people 138 of 140 exercises are found, 2.4 s (median)
# after they start, with 34 false events.
DECISION = DecisionSettings(smoothing_steps=50, threshold=0.6, release=0.3, minimum_steps=50)


@dataclass(frozen=True)
class Settings:
    """What can be chosen about a training run."""

    cell: str = "gru"
    hidden: int = 48
    layers: int = 1
    updates: int = 2000
    streams: int = 16
    window_steps: int = 200
    learning_rate: float = 6e-3
    weight_decay: float = 0.01
    dropout: float = 0.1
    label_smoothing: float = 0.05
    seed: int = 0


class ExerciseNet(torch.nn.Module):
    """Normalisation by typical values of the sensor, recurrent layers and a head for every frame; time first."""

    def __init__(self, settings: Settings, channels: int, labels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.0, 0.4, -0.15, 0.0, 0.0, 0.0]))
        self.register_buffer("std", torch.tensor([0.9, 0.5, 0.55, 1.0, 2.5, 1.05]))
        self.cell: Any
        if settings.cell in CELLS:
            between = settings.dropout if settings.layers > 1 else 0.0
            self.cell = CELLS[settings.cell](channels, settings.hidden, settings.layers, dropout=between)
        else:
            self.cell = MORE_CELLS[settings.cell](channels, settings.hidden)
        self.dropout = torch.nn.Dropout(settings.dropout)
        self.head = torch.nn.Linear(settings.hidden, labels)

    def forward(self, samples: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Logits (T, B, labels) of samples (T, B, 6), and the state after them."""
        hidden, state = self.cell((samples - self.mean) / self.std, state)
        return self.head(self.dropout(hidden)), state


class BatchFirstProbabilities(torch.nn.Module):
    """The net as it is exported: samples (1, T, 6) to probabilities (1, T, labels)."""

    def __init__(self, net: ExerciseNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Probabilities of every frame."""
        logits, _ = self.net(samples.transpose(0, 1))
        return torch.softmax(logits, dim=-1).transpose(0, 1)


class ProbabilitiesOfStep(torch.nn.Module):
    """One step of a net with an explicit state: samples (1, 6) and h (1, units) to probabilities and the new h."""

    def __init__(self, net: ExerciseNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, samples: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Probabilities of the frame, and the new state."""
        net = self.net
        h = net.cell.step((samples - net.mean) / net.std, h)
        return torch.softmax(net.head(h), dim=-1), h


def train(data: WatchData, people: Sequence[int], settings: Settings) -> ExerciseNet:
    """Train on these people; the net that is returned is the moving average of all nets on the way."""
    torch.manual_seed(settings.seed)
    streams = ExerciseStreams(data.of_people(people), settings.streams, np.random.default_rng(settings.seed))
    net = ExerciseNet(settings, len(data.channels), len(data.labels))
    average = copy.deepcopy(net)
    optimizer = torch.optim.AdamW(net.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=settings.updates, pct_start=0.1
    )
    state = None
    for update in range(settings.updates):
        samples, labels, ages = (torch.from_numpy(array) for array in streams.next(settings.window_steps))
        logits, state = net(samples, state)
        loss = frame_loss(logits, labels, ages, settings.label_smoothing)
        if isinstance(net.cell, FastGrnn):
            loss = loss + STATE_PENALTY * state.square().mean()
        state = _detached(state)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        _move_average(average, net, keep=min(0.995, (update + 1) / (update + 10)))
        if update % 250 == 249:
            print(f"  update {update + 1}: loss {loss.item():.3f}", flush=True)
    average.eval()
    return average


def frame_loss(logits: torch.Tensor, labels: torch.Tensor, ages: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Cross-entropy of all frames; those after a change of exercise count less, with full weight from 1.5 s on."""
    losses = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), label_smoothing=smoothing, reduction="none"
    )
    weights = (ages.flatten() / (1.5 * RATE_HZ)).clamp(max=1.0)
    return (losses * weights).sum() / weights.sum()


def _detached(state: Any) -> Any:
    return tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()


def _move_average(average: ExerciseNet, net: ExerciseNet, keep: float) -> None:
    with torch.no_grad():
        for mean, value in zip(average.parameters(), net.parameters(), strict=True):
            mean.lerp_(value, 1.0 - keep)


def count_weights(net: ExerciseNet) -> int:
    """All trained numbers."""
    return sum(parameter.numel() for parameter in net.parameters())


def net_scores(net: ExerciseNet) -> Scores:
    """The trained net as a function of samples."""

    def scores(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            logits, _ = net(torch.from_numpy(samples)[:, None])
            return np.asarray(torch.softmax(logits[:, 0], dim=-1))

    return scores


def file_scores(path: Path) -> Scores:
    """The exported model in onnxruntime as a function of samples."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    if len(session.get_inputs()) == 1:
        return lambda samples: np.asarray(session.run(None, {"samples": samples[None]})[0])[0]
    units = session.get_inputs()[1].shape[1]

    def scores(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        h, rows = np.zeros((1, units), np.float32), []
        for sample in samples:
            row, h = session.run(None, {"samples": sample[None], "h": h})
            rows.append(row[0])
        return np.array(rows)

    return scores


def cross_validate(data: WatchData, settings: Settings) -> None:
    """Hold every person out once, in the fixed folds, and print the votes of all of them."""
    total = np.zeros((len(data.labels),) * 2, np.int64)
    for fold in FOLDS:
        net = train(data, [person for person in data.people if person not in fold], settings)
        confusion = stream_confusion(net_scores(net), data.of_people(fold), len(data.labels))
        print(f"people {fold} held out: macro accuracy {macro_accuracy(confusion):.3f}", flush=True)
        total += confusion
    print_confusion("One-second votes, every person held out once", total, data.labels)


def export(net: ExerciseNet, path: Path, metadata: Metadata) -> None:
    """Write the net as ONNX, as one step where its cell is written out, else with a free number of time steps.

    Makes sure that onnxruntime agrees with torch.
    """
    channels = len(metadata.channels)
    arguments: dict[str, Any]
    if isinstance(net.cell, FastGrnn):
        module: torch.nn.Module = ProbabilitiesOfStep(net)
        inputs = (torch.zeros(1, channels), torch.zeros(1, net.cell.units))
        arguments = {"input_names": ["samples", "h"], "output_names": ["probabilities", "h_new"]}
    else:
        module, inputs = BatchFirstProbabilities(net), (torch.zeros(1, 50, channels),)
        arguments = {"input_names": ["samples"], "output_names": ["probabilities"]}
        arguments["dynamic_axes"] = {"samples": {1: "time"}, "probabilities": {1: "time"}}
    with warnings.catch_warnings():
        # The exporter that is not deprecated writes torch.nn.RNN step by step and freezes lengths in Reshape nodes.
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), inputs, str(path), opset_version=17, dynamo=False, **arguments)
    model = onnx.load(path)
    onnx.helper.set_model_props(model, metadata.to_properties())
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    samples = np.random.default_rng(0).normal(size=(333, len(metadata.channels))).astype(np.float32)
    np.testing.assert_allclose(file_scores(path)(samples), net_scores(net)(samples), atol=1e-5)


def cut_demo_recording(recordings: Sequence[Recording], data: WatchData, seconds: int = 20) -> dict[str, NDArray[Any]]:
    """Pieces of one person's exercises end to end, each from the middle of its recording, in a fixed mixed order.

    Samples are rounded to 1/1024 (0.001 g, 0.001 rad/s), well below the sensor's noise, so that the file is small.
    """
    order = np.random.default_rng(7).permutation(len(recordings))
    pieces = [_middle(recordings[index].samples, int(seconds * RATE_HZ)) for index in order]
    stops = np.cumsum([len(piece) for piece in pieces])
    return {
        "samples": np.round(np.concatenate(pieces) * 1024) / np.float32(1024),  # (N, 6)
        "rate_hz": np.array(RATE_HZ),
        "channel_names": np.array(data.channels),
        "label_names": np.array(data.labels),
        "interval_start": np.concatenate([[0], stops[:-1]]),
        "interval_stop": stops,
        "interval_label": np.array([recordings[index].label for index in order]),
    }


def _middle(samples: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
    begin = (len(samples) - steps) // 2
    return samples[begin : begin + steps]


def ship(data: WatchData, settings: Settings, demo: tuple[int, int], output: Path) -> None:
    """Train without the held-out people, write model and recording, and print the figures of what was written."""
    net = train(data, [person for person in data.people if person not in HELD_OUT], settings)
    metadata = Metadata(
        labels=data.labels,
        channels=data.channels,
        units=UNITS,
        rate_hz=RATE_HZ,
        window_steps=settings.window_steps,
        decision=DECISION,
    )
    output.mkdir(parents=True, exist_ok=True)
    model = output / "demo_model.onnx"
    export(net, model, metadata)
    print(f"{json.dumps(settings.__dict__)}\n{count_weights(net)} weights, people {HELD_OUT} held out")
    scores = file_scores(model)
    print_held_out_figures(scores, data, settings.window_steps)
    person, side = demo
    worn = [recording for recording in data.of_people([person]) if recording.side == side]
    recording = cut_demo_recording(worn, data)
    np.savez_compressed(output / "demo_recording.npz", allow_pickle=False, **recording)
    print_confusion(f"Demo recording (person {person})", recording_confusion(scores, recording), data.labels)


def print_held_out_figures(scores: Scores, data: WatchData, window_steps: int) -> None:
    """One-second votes of all held-out people together and one by one, and votes of windows."""
    recordings, labels = data.of_people(HELD_OUT), len(data.labels)
    print_confusion("One-second votes", stream_confusion(scores, recordings, labels), data.labels)
    for person in HELD_OUT:
        confusion = stream_confusion(scores, data.of_people([person]), labels)
        print(f"person {person}: macro accuracy {macro_accuracy(confusion):.3f}")
    windows = window_confusion(scores, recordings, labels, window_steps)
    print(f"Windows of {window_steps} steps: macro accuracy {macro_accuracy(windows):.3f}")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="watch_exercises.npz")
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "edgernn" / "data")
    parser.add_argument("--cross-validate", action="store_true", help="hold every person out once; write nothing")
    parser.add_argument("--cell", choices=sorted(CELLS | MORE_CELLS), default=Settings.cell)
    for name in ("hidden", "layers", "updates", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Settings, name))
    parser.add_argument("--learning-rate", type=float, default=Settings.learning_rate)
    parser.add_argument("--demo", type=int, nargs=2, default=(9, 1), metavar=("PERSON", "SIDE"))
    return parser.parse_args()


def main() -> None:
    """Run from the command line."""
    arguments = parse_arguments()
    torch.set_num_threads(1)  # small matrices: more threads only wait for each other
    settings = Settings(
        arguments.cell,
        arguments.hidden,
        arguments.layers,
        updates=arguments.updates,
        learning_rate=arguments.learning_rate,
        seed=arguments.seed,
    )
    data = read_watch_data(arguments.data)
    if arguments.cross_validate:
        cross_validate(data, settings)
    else:
        ship(data, settings, tuple(arguments.demo), arguments.output)


if __name__ == "__main__":
    main()
