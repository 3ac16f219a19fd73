/* needs: more_math_float saturate_float */
/* Mean and variance of x, each times `factor`; if not `centred` 0 and the mean square. */
static float edgernn_moments(const float *x, uint16_t count, float factor, uint8_t centred, float *mean) {
    float sum = 0.0f, squares = 0.0f;
    for (uint16_t k = 0; k < count; k++) sum += x[k] * factor;
    *mean = centred ? sum / (float)count : 0.0f;
    for (uint16_t k = 0; k < count; k++) {
        const float centred = x[k] * factor - *mean;
        squares += centred * centred;
    }
    return squares / (float)count;
}

/* (x - mean) / sqrt(variance + epsilon) times scale plus bias, of which each may be absent; if not `centred` by the root
 * mean square. Numbers whose squares are too large are made smaller. */
static void edgernn_layer_norm_float(const float *x, uint16_t count, const float *scale, const float *bias,
                                     float epsilon, uint8_t centred, float *y) {
    float factor = 1.0f, mean, variance = edgernn_moments(x, count, factor, centred, &mean);
    if (!edgernn_is_finite(variance)) {
        factor = 8.27180613e-25f; /* 2^-80 */
        variance = edgernn_moments(x, count, factor, centred, &mean);
    }
    const float deviation = edgernn_sqrt(variance + epsilon * factor * factor);
    for (uint16_t k = 0; k < count; k++) {
        const float normal = (x[k] * factor - mean) / deviation;
        const float scaled = scale ? normal * edgernn_read_float(scale + k) : normal;
        y[k] = edgernn_saturate(bias ? scaled + edgernn_read_float(bias + k) : scaled);
    }
}
