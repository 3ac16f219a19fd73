"""Reductions of all frames up to each: sums, means and extremes that run along with the stream."""

from __future__ import annotations

from typing import Literal

import numpy as np

from edgernn.importers.onnx.rules.call import Call
from edgernn.importers.onnx.streams.values import Signal
from edgernn.program.operations import RunningReduce

Function = Literal["Sum", "Mean", "Max", "Min"]
BEGINS = {"Max": -1e300, "Min": 1e300}  # what every number replaces


def running_reduction(call: Call, x: Signal, function: Function, output: str) -> Signal:
    """The reduction of all frames up to each."""
    builder = call.builder
    value = builder.value_of_any_shape(x)
    size = builder.values[value].size
    total = builder.hidden_states.add(f"{output}.total", np.full(size, BEGINS.get(function, 0.0)))
    count = builder.hidden_states.add(f"{output}.count", np.zeros(1, np.int64))
    builder.emit(
        RunningReduce(
            name=builder.unique_operation(call.node.name),
            inputs=(value,),
            outputs=(output,),
            sources=builder.sources,
            function=function,
            total=total,
            count=count,
            size=size,
        ),
        x.timing,
    )
    return Signal.of(output, x.axes, x.timing)
