"""What quantizing changed, as numbers, text and JSON."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from edgernn.errors import QuantizationError
from edgernn.program.description import Equalization

MAX_NAMES = 3  # of a list in a line
WARNING_MARGIN_DB = 10.0  # above the limit, within which there is a warning


class LayerReport(msgspec.Struct, frozen=True):
    """One integer operation.

    Attributes
    ----------
    name, kind : str
    operand_bits : int or None
        Bits of the operands of its matrix products.
    scale : float
        What one unit of its output stands for.
    clipped_share : float
        Share of its outputs at the end of the int16 range.
    signal_to_noise_db : float
        Power of the float program's value over that of the difference.
    kept_rows : float or None
        Share of the rows of its weights that are the integers which the model had already; None without weights.
    """

    name: str
    kind: str
    operand_bits: int | None
    scale: float
    clipped_share: float
    signal_to_noise_db: float
    kept_rows: float | None = None


class QuantizationReport(msgspec.Struct, frozen=True):
    """A float program and its int8 program side by side.

    Attributes
    ----------
    layers : tuple of LayerReport
    recordings, frames : int
        Recordings compared, and outputs in all of them.
    agreement : float or None
        Share of outputs with the same largest score; None for a single score.
    largest_difference : float
        Of any score.
    signal_to_noise_db : float
        Power of the float program's first output over that of the difference.
    state_drift : dict
        Largest difference of each state over the longest recording, in the model's units.
    saturated : dict
        How often an element of each state that can saturate was at the end of its range.
    weight_bytes_before, weight_bytes_after, state_bytes_before, state_bytes_after : int
    equalized : tuple of Equalization
        Channels between layers that were brought to other ranges.
    long_memory : tuple of str
        Operations whose matrix and state have 32 bits, because int8 weights would change how they remember.
    labelled_outputs : int
        Outputs that were judged against labels, as `edgernn evaluate` does it.
    float_accuracy, int8_accuracy, float_cross_entropy, int8_cross_entropy : float or None
        Of these outputs; None where there are none.
    """

    layers: tuple[LayerReport, ...]
    recordings: int
    frames: int
    agreement: float | None
    largest_difference: float
    signal_to_noise_db: float
    state_drift: dict[str, float]
    saturated: dict[str, int]
    weight_bytes_before: int
    weight_bytes_after: int
    state_bytes_before: int
    state_bytes_after: int
    equalized: tuple[Equalization, ...] = ()
    long_memory: tuple[str, ...] = ()
    labelled_outputs: int = 0
    float_accuracy: float | None = None
    int8_accuracy: float | None = None
    float_cross_entropy: float | None = None
    int8_cross_entropy: float | None = None

    def to_json(self) -> str:
        """The report as JSON."""
        return msgspec.json.format(msgspec.json.encode(self)).decode()

    def table(self) -> str:
        """The report as text."""
        lines = [f"{'layer':<32} {'kind':<12} {'bits':>4} {'unit':>10} {'clipped':>8} {'SNR dB':>7}"]
        for layer in self.layers:
            bits = "" if layer.operand_bits is None else str(layer.operand_bits)
            lines.append(
                f"{layer.name[-32:]:<32} {layer.kind:<12} {bits:>4} {layer.scale:>10.3g} {layer.clipped_share:>8.3%} "
                f"{layer.signal_to_noise_db:>7.1f}"
            )
        lines += self.kept_weights()
        lines += [
            f"equalized {writers} -> {readers}: {factor}; error {before} -> {after}"
            for writers, readers, factor, before, after in self.equalizations()
        ]
        if self.long_memory:
            lines.append(f"long memory: {', '.join(self.long_memory)}: matrices and states of 32 bits")
        lines.append(
            f"{self.frames} outputs of {self.recordings} recordings; largest difference "
            f"{self.largest_difference:.4g}, SNR {self.signal_to_noise_db:.1f} dB"
        )
        if self.agreement is not None:
            lines.append(f"same largest score: {self.agreement:.2%}")
        if self.float_accuracy is not None and self.int8_accuracy is not None:
            outputs = f"of {self.labelled_outputs} labelled outputs"
            lines.append(f"accuracy {outputs}: float {self.float_accuracy:.2%}, int8 {self.int8_accuracy:.2%}")
        if self.float_cross_entropy is not None and self.int8_cross_entropy is not None:
            lines.append(f"cross-entropy: float {self.float_cross_entropy:.4f}, int8 {self.int8_cross_entropy:.4f}")
        for name, drift in self.state_drift.items():
            saturated = f", saturated {self.saturated[name]} times" if name in self.saturated else ""
            lines.append(f"state {name}: largest difference {drift:.4g}{saturated}")
        lines.append(f"weights: {self.weight_bytes_before} -> {self.weight_bytes_after} bytes")
        lines.append(f"states: {self.state_bytes_before} -> {self.state_bytes_after} bytes")
        return "\n".join(lines)

    def equalizations(self) -> list[tuple[str, str, str, str, str]]:
        """For each group of channels its writers, readers, their factors, the error before and after."""
        return [
            (
                _listed(made.writers),
                _listed(made.readers),
                f"range^{made.range_exponent:g} / weight^{made.weight_exponent:g}",
                f"{10 * np.log10(made.error_before):.1f} dB",
                f"{10 * np.log10(max(made.error_after, 1e-30)):.1f} dB",
            )
            for made in self.equalized
        ]

    def judge(self, min_snr_db: float) -> str | None:
        """What to say of a first output that is near the limit, or None.

        Parameters
        ----------
        min_snr_db : float
            What its signal must be above the noise, in dB.

        Raises
        ------
        QuantizationError
            It is less: the message names the operations that lose most, and what helps.
        """
        snr = self.signal_to_noise_db
        if not self.frames or snr >= min_snr_db + WARNING_MARGIN_DB:
            return None
        worst = sorted(self.layers, key=lambda layer: layer.signal_to_noise_db)[:MAX_NAMES]
        losses = ", ".join(f"{layer.name} ({layer.signal_to_noise_db:.1f} dB)" for layer in worst)
        what = f"the integers' first output has {snr:.1f} dB of signal to noise on the recordings"
        remedy = "keep these in float (--keep-float NAME), or use more bits (--operands w8a16, --state-bits 32)"
        if snr < min_snr_db:
            raise QuantizationError(
                f"{what}, below {min_snr_db:g} dB; most is lost by {losses}: {remedy}, or allow it with --min-snr"
            )
        return f"{what}; most is lost by {losses}: {remedy}"

    def kept_weights(self) -> list[str]:
        """A line on which layers keep the integers that the model had; no line if it had none."""
        weighted = [layer for layer in self.layers if layer.kept_rows is not None]
        if not any(layer.kept_rows for layer in weighted):
            return []
        kept = [layer.name for layer in weighted if layer.kept_rows == 1.0]
        others = [
            f"{layer.name} ({layer.kept_rows:.0%} of its rows kept)" for layer in weighted if layer.kept_rows != 1
        ]
        return [
            f"weights kept as they were: {', '.join(kept) or 'none'}; quantized again: {', '.join(others) or 'none'}"
        ]


def _listed(names: Sequence[str]) -> str:
    """Names, of which the last may be left out."""
    return ", ".join(names[:MAX_NAMES]) + (f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else "")
