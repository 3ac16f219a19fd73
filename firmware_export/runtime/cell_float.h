/* needs: dot_float */
typedef float (*edgernn_float_function)(float x);

/* One gate's input of one unit: rows of W and R, and of the two halves of B. */
static float edgernn_gate_float(const float *x, uint16_t input_size, const float *h, uint16_t hidden_size,
                                const float *W, const float *R, const float *B, uint16_t rows, uint16_t row) {
    const float *w = W + (uint32_t)row * input_size, *r = R + (uint32_t)row * hidden_size;
    const uint16_t other = (uint16_t)(rows + row);
    const float sum = (edgernn_dot(w, x, input_size) + edgernn_dot(r, h, hidden_size)) +
                      (edgernn_bias(B, row) + edgernn_bias(B, other));
    if (edgernn_is_finite(sum)) return sum;
    return edgernn_unscale((edgernn_scaled_dot(w, x, input_size) + edgernn_scaled_dot(r, h, hidden_size)) +
                           (edgernn_scaled_bias(B, row) + edgernn_scaled_bias(B, other)));
}
