/* needs: product gates_int8 fine_sigmoid_int8 */
/* The gated recurrent unit of gru_int8 with an int32 state: slow units keep 16 more fraction bits. */
static void edgernn_gru_wide_int8(const int16_t *x, uint16_t input_size, int32_t *h, uint16_t hidden_size,
                                  const edgernn_rows *W, const edgernn_rows *R, const int32_t *constants,
                                  edgernn_function f, edgernn_function g, int32_t clip, int16_t *y,
                                  int16_t *operand) {
    for (uint16_t unit = 0; unit < hidden_size; unit++) y[unit] = (int16_t)(h[unit] >> 16);
    const int narrow = edgernn_are_narrow(W, input_size, R, hidden_size);
    edgernn_pair pair = edgernn_begin(W, R, narrow, constants, x, input_size, y, hidden_size, operand);
    for (uint16_t unit = 0; unit < hidden_size; unit++) {
        int32_t p[4];
        edgernn_unit3(W, R, narrow, &pair, p);
        const int r = f(edgernn_limit(p[2], clip));
        const int n = g(edgernn_limit(p[0] + edgernn_shift15((int32_t)r * edgernn_saturate16(p[3])), clip));
        const int32_t way = edgernn_fine_sigmoid(-edgernn_fine_limit(p[1], clip));
        const int32_t step = edgernn_multiply_fine((int32_t)n - y[unit], way);
        h[unit] = h[unit] + step + step;
        y[unit] = (int16_t)(h[unit] >> 16);
    }
}
