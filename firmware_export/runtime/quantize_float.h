/* needs: rescale */
/* floor((x - mean) * inverse + 0.5), saturated; every operation in float. */
static void edgernn_quantize_float(const float *x, uint16_t count, const float *mean, const float *inverse,
                                   uint16_t channels, int16_t *y) {
    uint16_t channel = 0;
    for (uint16_t k = 0; k < count; k++) {
        const float scaled = (x[k] - edgernn_read_float(mean + channel)) * edgernn_read_float(inverse + channel) + 0.5f;
        if (scaled >= 32767.0f) {
            y[k] = 32767;
        } else if (scaled >= -32768.0f) {
            const int32_t whole = (int32_t)scaled; /* towards zero */
            y[k] = (int16_t)(whole - ((float)whole > scaled));
        } else {
            y[k] = -32768; /* also for what is not a number */
        }
        channel = (uint16_t)(channel + 1u < channels ? channel + 1u : 0u);
    }
}
