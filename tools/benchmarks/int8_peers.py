"""The project in integers, as peers of its float steps."""

from __future__ import annotations

from typing import ClassVar, Literal

from benchmarks.models import Model, samples
from benchmarks.peers import Edgernn, Step

CALIBRATION_STEPS = 100


class EdgernnW8A16(Edgernn):
    """The same model in integers, quantized here; its scores are those of integers."""

    name = "edgernn w8a16"
    operands: ClassVar[Literal["w8a16", "w8a8"]] = "w8a16"
    largest_error = 0.02

    def make_step(self, model: Model) -> Step:
        import edgernn

        super().make_step(model)
        int8 = edgernn.quantize(
            self.runner.program, samples(CALIBRATION_STEPS), operands=self.operands, ranges="max", states="s16"
        )
        self.runner = edgernn.Runner(int8)
        step: Step = self.runner.step
        return step


class EdgernnW8A8(EdgernnW8A16):
    """The same with operands of 8 bits."""

    name = "edgernn w8a8"
    operands = "w8a8"
    largest_error = 0.05


INT8_PEERS: tuple[type[EdgernnW8A16], ...] = (EdgernnW8A16, EdgernnW8A8)
