"""``edgernn inspect``: what a model needs, how it streams and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from edgernn.cli.board import board_option, describe_fit
from edgernn.cli.explained import (
    describe_look_ahead,
    describe_operations,
    describe_work,
    explain,
    first_output_step,
    format_fusions,
    format_operations,
)
from edgernn.cli.options import LoadOptions, json_option, model_argument, model_options
from edgernn.cli.text import escape, format_table, print_json
from edgernn.program.description import Port
from edgernn.program.program import Program


@click.command()
@model_argument
@board_option
@click.option("--explain", is_flag=True, help="Say which forms of an ONNX graph were fused, and why others were not.")
@model_options
@json_option
def inspect(model: Path, board: str | None, explain: bool, load_options: LoadOptions, as_json: bool) -> None:
    """Show what MODEL needs, how it streams and why; with --board, what it needs there as C, and whether it fits.

    \b
    Example:
      edgernn inspect gesture.onnx
      edgernn inspect gesture.onnx --window 100 --hop 25 --json
      edgernn inspect gesture-int8.safetensors --board uno
      edgernn inspect gesture.onnx --explain
    """
    if explain and model.suffix in (".safetensors", ".npz"):
        raise click.UsageError(f"--explain is for ONNX models: {model} holds a program, in which all is fused already")
    imported = load_options.import_as_run(model) if explain else None
    program = load_options.load_as_run(model) if imported is None else imported.program
    firmware = None if board is None else describe_fit(program, model.stem, board)
    facts = describe(program) | {"firmware": firmware}
    if imported is not None:
        facts["fused"] = [fusion._asdict() for fusion in imported.fusions.fused]
        facts["nearly_fused"] = [miss._asdict() for miss in imported.fusions.missed]
    if as_json:
        print_json(facts)
    else:
        click.echo(_format(model, facts))


def describe(program: Program) -> dict[str, Any]:
    """Everything that `edgernn inspect` shows, as plain values."""
    window = program.window
    return {
        "mode": program.mode,
        "mode_reason": program.description.mode_reason,
        "arithmetic": program.arithmetic,
        "delay_steps": program.delay_steps,
        "warmup_steps": program.warmup_steps,
        "first_output_step": first_output_step(program),
        "window_steps": program.window_steps,
        "hop_steps": window.hop if window else None,
        "window_copies": window.copies if window else None,
        "window_recomputed": window.recomputed if window else None,
        "looks_ahead": describe_look_ahead(program),
        "work": describe_work(program),
        "trained_steps": program.trained_steps,
        "fixed": program.fixed,
        "running": msgspec.to_builtins(program.running),
        "inputs": [_describe_port(port) for port in program.inputs],
        "outputs": [_describe_port(port) for port in program.outputs],
        "state": [{"name": slot.name, "shape": slot.shape, "dtype": slot.dtype} for slot in program.state],
        "operations": describe_operations(program),
        "multiply_accumulates": program.multiply_accumulates * (window.copies if window else 1),
        "weights": sum(array.size for array in program.computed_weights.values()),
        "memory_bytes": _describe_memory(program),
        "latency_budget": _describe_budget(program),
        "metadata": msgspec.to_builtins(program.metadata),
        "warnings": list(program.warnings),
        "hash": program.hash,
    }


def _describe_port(port: Port) -> dict[str, Any]:
    return {
        "name": port.name,
        "shape": port.shape,
        "size": port.size,
        "dtype": port.dtype,
        "rate": str(port.rate),
    }


def _describe_memory(program: Program) -> dict[str, int]:
    """Bytes that a runner allocates when it is made; it never allocates more."""
    from edgernn.runtime.plan import plan_of

    plan = plan_of(program)
    return {"weights": plan.weight_bytes, "state": plan.state_bytes, "scratch": plan.arena_bytes}


def _describe_budget(program: Program) -> dict[str, Any] | None:
    """How late an event is by design; None where the model names no rate."""
    from edgernn.latency.budget import latency_budget

    budget = latency_budget(program)
    return None if budget is None else msgspec.to_builtins(budget)


def _format(model: Path, facts: dict[str, Any]) -> str:
    sections = [
        escape(str(model)),
        _format_overview(facts),
        *(_format_ports(kind, facts) for kind in ("inputs", "outputs")),
    ]
    if facts["state"]:
        rows = [(slot["name"], _shape(slot["shape"]), slot["dtype"]) for slot in facts["state"]]
        sections.append("states\n" + format_table(rows))
    sections.append("operations of one step\n" + format_operations(facts["operations"]))
    if facts["latency_budget"] is not None:
        sections.append(_format_budget(facts["latency_budget"]))
    if facts["firmware"] is not None:
        sections.append(_format_firmware(facts["firmware"]))
    if "fused" in facts:
        sections.append(format_fusions(facts["fused"], facts["nearly_fused"]))
    if facts["warnings"]:
        sections.append("warnings\n" + "\n".join(f"  {escape(warning)}" for warning in facts["warnings"]))
    return "\n".join(sections)


def _format_budget(facts: dict[str, Any]) -> str:
    from edgernn.latency.budget import Budget
    from edgernn.latency.text import budget_rows, budget_verdict

    budget = msgspec.convert(facts, Budget)
    return f"from a movement to its event\n{format_table(budget_rows(budget))}\n  {budget_verdict(budget)}"


def _format_firmware(facts: dict[str, Any]) -> str:
    time = f"about {facts['cycles_estimated']:,} cycles, {facts['step_ms_estimated']:g} ms"
    rows = [
        ("flash", f"about {facts['flash_bytes']:,} of {facts['board_flash_bytes']:,} bytes"),
        ("RAM", f"{facts['ram_bytes']:,} of {facts['board_ram_bytes']:,} bytes"),
        ("a step", time),
    ]
    return f"as C on {facts['board']}\n{format_table(rows)}"


def _format_overview(facts: dict[str, Any]) -> str:
    metadata = facts["metadata"]
    rows = [("mode", facts["mode"] + (f": {facts['mode_reason']}" if facts["mode_reason"] else ""))]
    rows.append(("runs", _format_running(facts["running"])))
    rows += explain(facts)
    for name, numbers in facts["fixed"].items():
        rows.append(("set", f"input {name} to {', '.join(f'{number:g}' for number in numbers)}"))
    if facts["trained_steps"] is not None:
        rows.append(("trained on", f"sequences of {facts['trained_steps']} steps"))
    if metadata["rate_hz"] is not None:
        rows.append(("rate", f"{metadata['rate_hz']:g} Hz"))
    for name in ("labels", "channels", "units"):
        if metadata[name]:
            rows.append((name, ", ".join(metadata[name])))
    rows.append(("weights", f"{facts['weights']:,} {facts['arithmetic']}"))
    rows.append(("memory", ", ".join(f"{what} {size:,} bytes" for what, size in facts["memory_bytes"].items())))
    worst = facts["work"]["worst_step_multiply_accumulates"]
    at_most = f", {worst:,} at most" if worst > facts["multiply_accumulates"] else ""
    rows.append(("work", f"{facts['multiply_accumulates']:,} multiply-accumulates a step{at_most}"))
    rows.append(("hash", facts["hash"][:16]))
    return format_table(rows)


def _format_running(facts: dict[str, Any]) -> str:
    from edgernn.program.running import Running
    from edgernn.program.streamed import CHANGED_BY

    running = msgspec.convert(facts, Running)
    return f"{running}: {running.reason}" + ("" if running.kind == "continuous" else f"; {CHANGED_BY}")


def _format_ports(kind: str, facts: dict[str, Any]) -> str:
    rows = [(port["name"], _shape(port["shape"]), port["dtype"], f"{port['rate']} a step") for port in facts[kind]]
    return f"{kind}\n" + format_table(rows)


def _shape(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"
