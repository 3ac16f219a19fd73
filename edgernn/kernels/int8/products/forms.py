"""The forms of an integer matrix product: which instructions multiply int8 weights, and what they read.

Every form gives the same integers. "plain" is right on every processor: one column after the other, weights widened to
16 bits, which LLVM turns into widening multiply-adds on NEON. "pairs" adds up two columns at once (``vpmaddwd`` of
x86-64). The others add up four columns of 8 bits at once: "vnni" is ``vpdpbusd`` of x86-64, whose activations are
unsigned, so they are offset by 128 and the sum begins at -128 times the weights of its row; "dot" is ``sdot`` of
aarch64. "halves" is "vnni" for operands of 16 bits: the upper and the lower byte of each have sums of their own, and
the lower bytes are unsigned as they are. Where the instruction is missing these still run, slowly. ``vpmaddubsw`` is
not used anywhere, because it saturates.
"""

from __future__ import annotations

from typing import NamedTuple

from edgernn.kernels.codegen.target import Processor

SUMS = 2  # of each row, side by side: those of two groups of columns, or of the two halves of one


class Form(NamedTuple):
    """How weights and operands are laid out for a form."""

    columns: int  # in a group: neighbours in memory for each row
    operand_bytes: int
    offset: int  # added to operands
    operand_bits: tuple[int, ...]  # of the programs that the form can run
    splits: bool = False  # operands into halves: four upper bytes, then their lower ones

    @property
    def groups(self) -> int:
        """Groups of columns that are worked on side by side."""
        return 1 if self.splits else SUMS

    @property
    def step(self) -> int:
        """Columns are padded to a multiple of this."""
        return self.columns * self.groups

    def reads_in_place(self, operand_bits: int) -> bool:
        """Whether products can read int16 as it lies in memory, rounded on the way if operands have 8 bits."""
        if operand_bits == 8:
            return self.columns == 4
        return self.operand_bytes == 2 and not self.splits


FORMS = {
    "plain": Form(1, 2, 0, (8, 16)),
    "pairs": Form(2, 2, 0, (8, 16)),
    "vnni": Form(4, 1, 128, (8,)),
    "halves": Form(4, 2, 128, (16,), splits=True),
    "dot": Form(4, 1, 0, (8,)),
}


def tables_of(processor: Processor, form: str = "") -> str:
    """How the shared tables of a kernel with this form of products lie in memory.

    "words": in 16-bit registers, where the processor can pick from those (int8_words.py); "plain": entry by entry, as
    it is right everywhere, and always beside the form of that name.

    >>> tables_of(Processor("x86_64-linux", "skylake-avx512", "+avx512f,+avx512bw"), "pairs")
    'words'
    """
    has_words = "+avx512bw" in processor.features.split(",")
    return "words" if has_words and form != "plain" else "plain"


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
            forms[:0] = ["vnni", "halves"]
    elif "+dotprod" in features:
        forms.insert(0, "dot")
    return tuple(form for form in forms if operand_bits in FORMS[form].operand_bits)
