/* needs: cell_float */
/* Elman cell: h = f(W x + R h + B). */
static void edgernn_rnn_float(const float *x, uint16_t input_size, float *h, uint16_t hidden_size, const float *W,
                              const float *R, const float *B, edgernn_float_function f, float *y) {
    for (uint16_t unit = 0; unit < hidden_size; unit++) {
        y[unit] = f(edgernn_gate_float(x, input_size, h, hidden_size, W, R, B, hidden_size, unit));
    }
    for (uint16_t unit = 0; unit < hidden_size; unit++) h[unit] = y[unit];
}
