"""The forms of an integer matrix product: which instructions multiply int8 weights, and what they read.

Every form gives the same integers. "plain" is right on every processor: one column after the other, weights widened to
16 bits, which LLVM turns into widening multiply-adds on NEON. "pairs" adds up two columns at once (``vpmaddwd`` of
x86-64). The other two need operands of 8 bits and add up four columns at once: "vnni" is ``vpdpbusd`` of x86-64, whose
activations are unsigned, so they are offset by 128 and the sum begins at -128 times the weights of its row; "dot" is
``sdot`` of aarch64. Where the instruction is missing both still run, slowly. ``vpmaddubsw`` is not used anywhere,
because it saturates.
"""

from __future__ import annotations

from typing import NamedTuple

from edgernn.kernels.target import Processor

UNROLLED = 2  # groups of columns that are worked on side by side


class Form(NamedTuple):
    """How weights and operands are laid out for a form."""

    columns: int  # in a group: neighbours in memory for each row
    operand_bytes: int
    offset: int  # added to operands
    operand_bits: tuple[int, ...]  # of the programs that the form can run

    @property
    def step(self) -> int:
        """Columns are padded to a multiple of this."""
        return self.columns * UNROLLED


FORMS = {
    "plain": Form(1, 2, 0, (8, 16)),
    "pairs": Form(2, 2, 0, (8, 16)),
    "vnni": Form(4, 1, 128, (8,)),
    "dot": Form(4, 1, 0, (8,)),
}


def forms_of(processor: Processor, operand_bits: int) -> tuple[str, ...]:
    """The forms that a processor has for operands of 8 or 16 bits, the fastest first.

    >>> forms_of(Processor("x86_64-linux", "haswell", "+avx,+avx2"), 16)
    ('pairs', 'plain')
    >>> forms_of(Processor("aarch64-linux", "cortex-a76", "+neon,+dotprod"), 8)
    ('dot', 'plain')
    """
    features = set(processor.features.split(","))
    forms = ["plain"]
    if processor.triple.startswith("x86_64"):
        forms.insert(0, "pairs")
        if "+avxvnni" in features or {"+avx512vnni", "+avx512vl"} <= features:
            forms.insert(0, "vnni")
    elif "+dotprod" in features:
        forms.insert(0, "dot")
    return tuple(form for form in forms if operand_bits in FORMS[form].operand_bits)
