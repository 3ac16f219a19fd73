/* needs: cell_float */
/* Long short-term memory, gates i o f c. P holds the peepholes of i, o and f, or is NULL. */
static void edgernn_lstm_float(const float *x, uint16_t input_size, float *h, float *c, uint16_t hidden_size,
                               const float *W, const float *R, const float *B, const float *P,
                               edgernn_float_function f, edgernn_float_function g, edgernn_float_function output,
                               int input_forget, float *y) {
    const uint16_t rows = (uint16_t)(4u * hidden_size);
    for (uint16_t unit = 0; unit < hidden_size; unit++) {
        float p[4];
        for (uint8_t gate = 0; gate < 4; gate++) {
            const uint16_t row = (uint16_t)(gate * hidden_size + unit);
            p[gate] = edgernn_gate_float(x, input_size, h, hidden_size, W, R, B, rows, row);
        }
        p[0] = edgernn_saturate(p[0] + edgernn_bias(P, unit) * c[unit]);
        p[2] = edgernn_saturate(p[2] + edgernn_bias(P, (uint16_t)(2u * hidden_size + unit)) * c[unit]);
        const float i = f(p[0]);
        const float forget = input_forget ? 1.0f - i : f(p[2]);
        c[unit] = edgernn_two_products(forget, c[unit], i, g(p[3]));
        p[1] = edgernn_saturate(p[1] + edgernn_bias(P, (uint16_t)(hidden_size + unit)) * c[unit]);
        y[unit] = edgernn_saturate(f(p[1]) * output(c[unit]));
    }
    for (uint16_t unit = 0; unit < hidden_size; unit++) h[unit] = y[unit];
}
