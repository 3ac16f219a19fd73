/* needs: more_math_float */
/* (x - mean) / sqrt(variance + epsilon) times scale plus bias, of which each may be absent. */
static void edgernn_layer_norm_float(const float *x, uint16_t count, const float *scale, const float *bias,
                                     float epsilon, float *y) {
    float mean = 0.0f, variance = 0.0f;
    for (uint16_t k = 0; k < count; k++) mean += x[k];
    mean /= (float)count;
    for (uint16_t k = 0; k < count; k++) variance += (x[k] - mean) * (x[k] - mean);
    const float deviation = edgernn_sqrt(variance / (float)count + epsilon);
    for (uint16_t k = 0; k < count; k++) {
        const float normal = (x[k] - mean) / deviation;
        const float scaled = scale ? normal * edgernn_read_float(scale + k) : normal;
        y[k] = bias ? scaled + edgernn_read_float(bias + k) : scaled;
    }
}
