/* needs: platform */
/* The `most` largest of `count` numbers, or the smallest, in order, and where they are; of equal ones the first. Each is
 * the best of those that come after the one before it. */
static void edgernn_top_k_NUMBER(const NUMBER *x, uint16_t count, uint16_t most, int largest, NUMBER *y,
                                 int32_t *indices) {
    for (uint16_t k = 0; k < most; k++) {
        uint16_t best = count;
        for (uint16_t at = 0; at < count; at++) {
            const NUMBER own = x[at];
            if (k) {
                const NUMBER before = y[k - 1];
                if (largest ? own > before : own < before) continue; /* taken */
                if (own == before && at <= indices[k - 1]) continue;
            }
            if (best == count || (largest ? own > x[best] : own < x[best])) best = at;
        }
        if (best == count) best = 0; /* only where there is no order: some x is not a number */
        y[k] = x[best];
        indices[k] = best;
    }
}
