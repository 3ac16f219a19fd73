/* needs: rescale */
/* The sensor's own integers to int16; `settings` holds origin, narrowing, multiplier, offset and shift of each channel,
 * one of the five after the other. */
static void edgernn_quantize_counts(const int32_t *x, uint16_t count, const int32_t *settings, uint16_t channels,
                                    int16_t *y) {
    const int32_t limit = (int32_t)1 << 30;
    uint16_t channel = 0;
    for (uint16_t k = 0; k < count; k++) {
        const int32_t *const setting = settings + channel;
        const int32_t limited = x[k] < -limit ? -limit : x[k] > limit - 1 ? limit - 1 : x[k];
        const int32_t centred = (limited - edgernn_read_int32(setting)) >> edgernn_read_int32(setting + channels);
        const int32_t product = edgernn_saturate16(centred) * edgernn_read_int32(setting + 2 * channels);
        const int32_t moved = product + edgernn_read_int32(setting + 3 * channels);
        y[k] = (int16_t)edgernn_saturate16(moved >> edgernn_read_int32(setting + 4 * channels));
        channel = (uint16_t)(channel + 1u < channels ? channel + 1u : 0u);
    }
}
