"""The page of a quantization: tables and plots for a browser."""

from __future__ import annotations

from edgernn.html_report import Bar, bars, heading, page, paragraph, table
from edgernn.quantizer.report import LayerReport, QuantizationReport


def quantization_page(name: str, report: QuantizationReport) -> str:
    """HTML of what quantizing a model called `name` changed."""
    rows = [(row.name, row.kind, row.operand_bits or "", f"{row.scale:.3g}") for row in report.layers]
    return page(
        f"{name} in integers",
        [
            table(_whole(report)),
            paragraph(f"{report.frames} outputs of {report.recordings} recordings, step by step in both programs."),
            *map(paragraph, report.kept_weights()),
            *_equalized(report),
            heading("Layers: signal to noise"),
            paragraph("The power of the float program's values over that of the difference; 6 dB are one bit."),
            bars([Bar(row.name, row.signal_to_noise_db, f"{row.signal_to_noise_db:.1f} dB") for row in report.layers]),
            heading("Layers: outputs at the end of their range"),
            bars([_clipped(row) for row in report.layers]),
            heading("States: largest difference over the longest recording"),
            bars([Bar(state, drift, _drift(report, state)) for state, drift in report.state_drift.items()]),
            heading("Scales"),
            table([("layer", "kind", "bits of operands", "one unit"), *rows]),
        ],
    )


def _equalized(report: QuantizationReport) -> list[str]:
    """How channels between layers were equalized; nothing if none were."""
    if not report.equalized:
        return []
    return [
        heading("Channels between layers: equalized"),
        paragraph("What they were divided by, and the power of what products lose by rounding over their own."),
        table([("written by", "read by", "factor", "before", "after"), *report.equalizations()]),
    ]


def _whole(report: QuantizationReport) -> list[tuple[str, str, str]]:
    """Rows of what both programs reach."""
    rows = [("", "float", "int8")]
    if report.float_accuracy is not None and report.int8_accuracy is not None:
        rows.append(("accuracy", f"{report.float_accuracy:.2%}", f"{report.int8_accuracy:.2%}"))
    if report.float_cross_entropy is not None and report.int8_cross_entropy is not None:
        rows.append(("cross-entropy", f"{report.float_cross_entropy:.4f}", f"{report.int8_cross_entropy:.4f}"))
    if report.agreement is not None:
        rows.append(("same largest score", "", f"{report.agreement:.2%}"))
    rows.append(("largest difference of a score", "", f"{report.largest_difference:.4g}"))
    rows.append(("signal to noise of the scores", "", f"{report.signal_to_noise_db:.1f} dB"))
    rows.append(("weights, bytes", str(report.weight_bytes_before), str(report.weight_bytes_after)))
    rows.append(("states, bytes", str(report.state_bytes_before), str(report.state_bytes_after)))
    return rows


def _clipped(layer: LayerReport) -> Bar:
    return Bar(layer.name, layer.clipped_share, f"{layer.clipped_share:.3%}")


def _drift(report: QuantizationReport, state: str) -> str:
    saturated = f", saturated {report.saturated[state]} times" if state in report.saturated else ""
    return f"{report.state_drift[state]:.3g}{saturated}"
