"""What a caller of `quantize` chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypedDict, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgernn.errors import QuantizationError
from edgernn.program.operations import Operation
from edgernn.program.program import Program
from edgernn.quantizer.ranges import Method, clipping_limit

Operands: TypeAlias = Literal["w8a16", "w8a8"]
States: TypeAlias = Literal["auto", "s16", "s32"]


class Choices(TypedDict, total=False):
    """The keywords of `edgernn.quantizer.quantize`, which documents them."""

    operands: Operands
    layer_operands: Mapping[str, Operands]
    keep_float: Sequence[str]
    ranges: Method
    states: States
    equalize: bool
    correct_bias: bool
    count_size: float | Sequence[float] | None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Choices of one quantization; `edgernn.quantizer.quantize` documents them."""

    operands: Operands = "w8a16"
    layer_operands: Mapping[str, Operands] = {}
    keep_float: Sequence[str] = ()
    ranges: Method = "mse"
    states: States = "auto"
    equalize: bool = True
    correct_bias: bool = True
    count_size: float | Sequence[float] | None = None
    headroom: float = 2.0  # between calibrated range and saturation, where 16 bits leave room for it

    def bits(self, operation: Operation) -> int:
        """Bits of the operands of an operation's matrix products."""
        return 8 if self.layer_operands.get(operation.name, self.operands) == "w8a8" else 16

    def limit_of(self, samples: NDArray[np.float64], bits: int) -> float:
        """The largest magnitude to represent of samples, with room above where 16 bits are used; 0 if all are 0."""
        limit = clipping_limit(samples, bits, self.ranges)
        return limit if bits == 8 else limit * self.headroom


def check_settings(program: Program, settings: Settings) -> None:
    """Refuse unknown names.

    Raises
    ------
    QuantizationError
        An operand form, a range method, a state form or the name of an operation is unknown.
    """
    choices: Sequence[tuple[str, Any, Any]] = [
        ("operands", settings.operands, Operands),
        *((f"layer_operands of {name}", operands, Operands) for name, operands in settings.layer_operands.items()),
        ("ranges", settings.ranges, Method),
        ("states", settings.states, States),
    ]
    for what, value, known in choices:
        if value not in get_args(known):
            raise QuantizationError(f"{what} is {value!r}, it must be one of {', '.join(get_args(known))}")
    names = {operation.name for operation in program.operations}
    for name in (*settings.keep_float, *settings.layer_operands):
        if name not in names:
            raise QuantizationError(f"there is no operation {name!r}; the program has {', '.join(sorted(names))}")
