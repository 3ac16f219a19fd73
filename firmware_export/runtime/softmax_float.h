/* needs: more_math_float saturate_float */
/* exp(x - max) / sum of `count` numbers, or its logarithm. */
static void edgernn_softmax_float(const float *x, uint16_t count, int logarithm, float *y) {
    float most = x[0], sum = 0.0f;
    for (uint16_t k = 1; k < count; k++) most = x[k] > most ? x[k] : most;
    for (uint16_t k = 0; k < count; k++) {
        const float e = edgernn_exp(x[k] - most);
        sum += e;
        y[k] = logarithm ? x[k] - most : e;
    }
    const float divisor = logarithm ? edgernn_log(sum) : sum;
    for (uint16_t k = 0; k < count; k++) y[k] = logarithm ? edgernn_saturate(y[k] - divisor) : y[k] / divisor;
}
