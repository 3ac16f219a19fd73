/* needs: exponential_int8 */
/* Softmax of `count` values to Q0.15. `scale` turns differences into 2^-12 octaves, `e` has room for `count`. */
static void edgernn_softmax_int8(const int16_t *x, uint16_t count, int32_t scale, int16_t *y, uint16_t *e) {
    int16_t most = x[0];
    uint32_t total = 0;
    for (uint16_t k = 1; k < count; k++) most = x[k] > most ? x[k] : most;
    for (uint16_t k = 0; k < count; k++) {
        e[k] = edgernn_exponential(edgernn_rescale((int32_t)most - x[k], scale));
        total += e[k];
    }
    for (uint16_t k = 0; k < count; k++) {
        const uint32_t share = ((uint32_t)e[k] * 32768u + (total >> 1)) / total;
        y[k] = (int16_t)(share > 32767u ? 32767u : share);
    }
}
