/* needs: platform */
/* The `most` largest of `count` numbers, or the smallest, in order, and where they are; of equal ones the first. Each is
 * the best of those that come after the one before it. */
static void edgernn_top_k_float(const float *x, uint16_t count, uint16_t most, int largest, float *y, int32_t *indices) {
    for (uint16_t k = 0; k < most; k++) {
        uint16_t best = count;
        for (uint16_t at = 0; at < count; at++) {
            const float own = largest ? x[at] : -x[at];
            if (k) {
                const float before = largest ? y[k - 1] : -y[k - 1];
                if (own > before || (own == before && at <= indices[k - 1])) continue; /* taken */
            }
            if (best == count || own > (largest ? x[best] : -x[best])) best = at;
        }
        if (best == count) best = 0; /* only where there is no order: some x is not a number */
        y[k] = x[best];
        indices[k] = best;
    }
}
