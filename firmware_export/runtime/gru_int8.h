/* needs: product gates_int8 */
/* Gated recurrent unit, the reset gate after the product; see edgernn_unit3 for its constants. `operand` has room for
 * input and state, each a multiple of four. */
static void edgernn_gru_int8(const int16_t *x, uint16_t input_size, int16_t *h, uint16_t hidden_size,
                             const edgernn_rows *W, const edgernn_rows *R, const int32_t *constants,
                             edgernn_function f, edgernn_function g, int32_t clip, int16_t *y, int16_t *operand) {
    const int narrow = edgernn_are_narrow(W, input_size, R, hidden_size);
    edgernn_pair pair = edgernn_begin(W, R, narrow, constants, x, input_size, h, hidden_size, operand);
    for (uint16_t unit = 0; unit < hidden_size; unit++) {
        int32_t p[4];
        edgernn_unit3(W, R, narrow, &pair, p);
        const int z = f(edgernn_limit(p[1], clip));
        const int r = f(edgernn_limit(p[2], clip));
        const int n = g(edgernn_limit(p[0] + edgernn_shift15((int32_t)r * edgernn_saturate16(p[3])), clip));
        y[unit] = h[unit] = edgernn_blend(h[unit], n, z);
    }
}
