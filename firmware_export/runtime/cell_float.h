/* needs: dot_float */
typedef float (*edgernn_float_function)(float x);

/* One gate's input of one unit: rows of W and R, and of the two halves of B. */
static float edgernn_gate_float(const float *x, uint16_t input_size, const float *h, uint16_t hidden_size,
                                const float *W, const float *R, const float *B, uint16_t rows, uint16_t row) {
    return (edgernn_dot(W + (uint32_t)row * input_size, x, input_size) +
            edgernn_dot(R + (uint32_t)row * hidden_size, h, hidden_size)) +
           (edgernn_bias(B, row) + edgernn_bias(B, (uint16_t)(rows + row)));
}
