/* needs: exponential_int8 log2_table */
/* Logarithm of the softmax of `count` values. `scale` turns differences into 2^-12 octaves, `output` those into y. */
static void edgernn_log_softmax_int8(const int16_t *x, uint16_t count, int32_t scale, int32_t output, int16_t *y) {
    int16_t most = x[0];
    uint32_t total = 0;
    for (uint16_t k = 1; k < count; k++) most = x[k] > most ? x[k] : most;
    for (uint16_t k = 0; k < count; k++) total += edgernn_exponential(edgernn_rescale((int32_t)most - x[k], scale));
    int32_t logarithm = 0; /* of total / 2^15 */
    for (; total >= 65536u; total >>= 1) logarithm += 4096;
    const uint16_t *const entry = edgernn_log2_table + ((total >> 9) & 63u);
    const int32_t from = (uint16_t)edgernn_read_int16((const int16_t *)entry),
                  to = (uint16_t)edgernn_read_int16((const int16_t *)entry + 1);
    logarithm += (from + (((to - from) * (int32_t)(total & 511u) + 256) >> 9) + 4) >> 3;
    for (uint16_t k = 0; k < count; k++) {
        int32_t octaves = edgernn_rescale((int32_t)most - x[k], scale) + logarithm;
        if (octaves > 16777215) octaves = 16777215;
        y[k] = (int16_t)edgernn_saturate16(-edgernn_rescale(octaves, output));
    }
}
