"""What the kernels of the recurrent cells share. Imports Numba: loaded only while kernels are compiled."""

from __future__ import annotations

from edgernn.kernels.codegen.simd import inline, load_long, store_long


@inline
def turn_around(turn):
    """Whether this step goes through the panels from the last to the first, in turn with the step before.

    The panels that were read last are still in the processor's cache: beginning with them saves up to a fifth of a step
    where the weights exceed the first-level cache. Panels do not depend on each other, so the result is the same.
    """
    backwards = load_long(turn)
    store_long(turn, 1 - backwards)
    return backwards == 1


@inline
def nth(index, count, backwards):
    """The index-th of `count` panels in the order of this step."""
    return count - 1 - index if backwards else index
