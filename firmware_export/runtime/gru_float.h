/* needs: cell_float */
/* Gated recurrent unit, gates z r h. `reset`, which has room for the state, is needed where the reset gate comes before
 * the product, and is NULL where it comes after it. */
static void edgernn_gru_float(const float *x, uint16_t input_size, float *h, uint16_t hidden_size, const float *W,
                              const float *R, const float *B, edgernn_float_function f, edgernn_float_function g,
                              float *y, float *reset) {
    const uint16_t rows = (uint16_t)(3u * hidden_size);
    if (reset) {
        for (uint16_t unit = 0; unit < hidden_size; unit++) {
            const uint16_t row = (uint16_t)(hidden_size + unit);
            const float r = f(edgernn_gate_float(x, input_size, h, hidden_size, W, R, B, rows, row));
            reset[unit] = edgernn_saturate(r * h[unit]);
        }
    }
    for (uint16_t unit = 0; unit < hidden_size; unit++) {
        const uint16_t r_row = (uint16_t)(hidden_size + unit), n_row = (uint16_t)(hidden_size + r_row);
        const float z = f(edgernn_gate_float(x, input_size, h, hidden_size, W, R, B, rows, unit));
        float n;
        if (reset) {
            n = g(edgernn_gate_float(x, input_size, reset, hidden_size, W, R, B, rows, n_row));
        } else {
            const float r = f(edgernn_gate_float(x, input_size, h, hidden_size, W, R, B, rows, r_row));
            const float input = edgernn_affine_float(W + (uint32_t)n_row * input_size, x, input_size, B, n_row);
            const float recurrent = edgernn_affine_float(R + (uint32_t)n_row * hidden_size, h, hidden_size, B,
                                                         (uint16_t)(rows + n_row));
            n = g(edgernn_saturate(input + r * recurrent));
        }
        y[unit] = edgernn_two_products(1.0f - z, n, z, h[unit]);
    }
    for (uint16_t unit = 0; unit < hidden_size; unit++) h[unit] = y[unit];
}
