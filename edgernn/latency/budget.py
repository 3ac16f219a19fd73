"""How late an answer is by design: the parts that a model, its sensor and its decisions have before any computing."""

from __future__ import annotations

import msgspec

from edgernn.program.metadata import DecisionSettings
from edgernn.program.operations import DelayLine
from edgernn.program.program import Program
from edgernn.stream.decisions import ONE, fixed

BITS_PER_BYTE = 10  # with start and stop bit
CSV_BYTES_PER_NUMBER = 9  # such as "-9.81234,"
DEFAULT_BAUD = 115200
DRIVER_TYPICAL_NS = 1_000_000  # a frame of USB
DRIVER_WORST_NS = 16_000_000  # an FTDI adapter that is not in low-latency mode
MULTIPLY_ACCUMULATES_PER_NS = 1.0  # of a slow core, such as a Raspberry Pi's; desktops do tens


class BudgetPart(msgspec.Struct, frozen=True):
    """One part of the way from a movement to its event.

    Attributes
    ----------
    name : str
    typical_ns, worst_ns : float
    why : str
        Where the time comes from.
    remedy : str
        What makes it shorter.
    """

    name: str
    typical_ns: float
    worst_ns: float
    why: str
    remedy: str


class Budget(msgspec.Struct, frozen=True):
    """All parts. They add up, because each waits for the one before it.

    Attributes
    ----------
    parts : tuple of BudgetPart
    rate_hz : float
        Samples a second that it was computed for.
    """

    parts: tuple[BudgetPart, ...]
    rate_hz: float

    @property
    def typical_ns(self) -> float:
        """Sum of the typical times."""
        return sum(part.typical_ns for part in self.parts)

    @property
    def worst_ns(self) -> float:
        """Sum of the worst times."""
        return sum(part.worst_ns for part in self.parts)

    @property
    def dominant(self) -> BudgetPart:
        """The part with the longest typical time."""
        return max(self.parts, key=lambda part: part.typical_ns)


def latency_budget(
    program: Program,
    rate_hz: float | None = None,
    *,
    baud: int = DEFAULT_BAUD,
    step_ns: float | None = None,
    step_worst_ns: float | None = None,
) -> Budget | None:
    """From a change at the sensor to the event, part by part; None if no rate is known.

    Parameters
    ----------
    program : Program
    rate_hz : float, optional
        Samples a second; the model's own if not given.
    baud : int
        Bits a second of the serial line.
    step_ns, step_worst_ns : float, optional
        Measured times of a step; estimated from its multiplications if not given.

    Returns
    -------
    Budget or None
    """
    rate_hz = rate_hz or program.metadata.rate_hz
    if not rate_hz:
        return None
    parts = (
        _sensor(rate_hz),
        _transfer(program, baud),
        _driver(),
        _schedule_of(program, rate_hz),
        _delay(program, rate_hz),
        _smoothing(program.metadata.decision, float(1 / program.outputs[0].rate) / rate_hz * 1e9),
        _step(program, step_ns, step_worst_ns),
    )
    return Budget(tuple(part for part in parts if part.worst_ns > 0), rate_hz)


def _sensor(rate_hz: float) -> BudgetPart:
    period_ns = 1e9 / rate_hz
    return BudgetPart(
        "sampling", period_ns / 2, period_ns, f"a sample every {period_ns / 1e6:.3g} ms", "sample more often"
    )


def _transfer(program: Program, baud: int) -> BudgetPart:
    numbers = sum(port.size for port in program.inputs)
    size = numbers * CSV_BYTES_PER_NUMBER + 1
    time_ns = size * BITS_PER_BYTE / baud * 1e9
    why = f"about {size} bytes of csv at {baud} baud (a board with its own USB needs less)"
    return BudgetPart("serial transfer", time_ns, time_ns, why, "a higher baud rate, or the cobs format")


def _driver() -> BudgetPart:
    return BudgetPart(
        "driver",
        DRIVER_TYPICAL_NS,
        DRIVER_WORST_NS,
        "USB comes in frames of 1 ms; an FTDI adapter may hold bytes back for 16 ms",
        "low-latency mode (set where the driver allows it), or a board with its own USB",
    )


def _schedule_of(program: Program, rate_hz: float) -> BudgetPart:
    """Samples that at most must come before those that are there already count: to the next window, or stride."""
    if program.window is not None:
        name, period, remedy = "window hop", program.window.hop, "a shorter --hop"
        why = f"a window ends every {period} samples"
    else:
        schedules = [operation.when for operation in program.operations]
        schedules += [operation.read for operation in program.operations if isinstance(operation, DelayLine)]
        name, period, remedy = "stride", max(when.period for when in schedules), "smaller strides"
        why = f"a layer of the model takes {period} samples at once"
    waiting_ns = (period - 1) / rate_hz * 1e9
    return BudgetPart(name, waiting_ns / 2, waiting_ns, why, remedy)


def _delay(program: Program, rate_hz: float) -> BudgetPart:
    output = program.description.outputs[0]
    steps = 0 if program.window is not None else output.when.tail_steps  # other outputs may be later
    time_ns = steps / rate_hz * 1e9
    why = f"the model looks {steps} samples ahead"
    return BudgetPart("model delay", time_ns, time_ns, why, "train it without look-ahead (causal layers)")


def _smoothing(settings: DecisionSettings, output_ns: float) -> BudgetPart:
    """Outputs that must follow the first right one: a score that jumps from 0 to 1 has to lift the average."""
    m = settings.smoothing_steps
    enough = -(-m * fixed(settings.threshold) // ONE)  # right outputs in the average, rounded up as the decider does
    typical = enough - 1 + settings.minimum_steps - 1
    worst = m - 1 + settings.minimum_steps - 1  # a score that only just passes the threshold
    why = f"an average over {m} outputs must reach {settings.threshold:g}"
    if settings.minimum_steps > 1:
        why += f" {settings.minimum_steps} times in a row"
    remedy = "less smoothing, a lower threshold; more false events are the price"
    return BudgetPart("decision", typical * output_ns, worst * output_ns, why, remedy)


def _step(program: Program, step_ns: float | None, step_worst_ns: float | None) -> BudgetPart:
    if step_ns is not None:
        worst_ns = step_ns if step_worst_ns is None else step_worst_ns
        return BudgetPart("step", step_ns, worst_ns, "as measured", "--realtime, a smaller model, int8")
    copies = program.window.copies if program.window else 1
    steps = 1 + (program.tail_steps if program.runs_tail_in_each_step else 0)
    work = max(1, program.multiply_accumulates) * copies * steps
    time_ns = work / MULTIPLY_ACCUMULATES_PER_NS
    why = f"{work:,} multiply-accumulates, one in a ns; `edgernn profile` measures it"
    return BudgetPart("step", time_ns, time_ns, why, "a smaller model, int8")
