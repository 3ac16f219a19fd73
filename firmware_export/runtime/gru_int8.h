/* needs: product gates_int8 */
/* Gated recurrent unit, the reset gate after the product. Panels hold the gates of one unit, h z r of W and z r h of R.
 * Constants are, for each unit, biases of h in W, z, r and h in R, then the scales of both panels. `operand` has room for
 * input and state, each a multiple of four. */
static void edgernn_gru_int8(const int16_t *x, uint16_t input_size, int16_t *h, uint16_t hidden_size, const edgernn_rows *W,
                             const edgernn_rows *R, const int32_t *constants, edgernn_function f, edgernn_function g, int32_t clip,
                             int16_t *y, int16_t *operand) {
    const uint16_t x_blocks = edgernn_blocks(input_size), h_blocks = edgernn_blocks(hidden_size);
    int16_t *const h_operand = operand + 4u * x_blocks;
    const int8_t *w = W->weights, *u = R->weights;
    edgernn_load(W, x, input_size, operand);
    edgernn_load(R, h, hidden_size, h_operand);
    for (uint16_t unit = 0; unit < hidden_size; unit++) {
        int32_t p[4]; /* h of W, z, r, h of R */
        edgernn_take4(constants, p);
        w = edgernn_add_rows3(W, w, operand, x_blocks, constants + 4, p);
        u = edgernn_add_rows3(R, u, h_operand, h_blocks, constants + 7, p + 1);
        constants += 10;
        const int z = f(edgernn_limit(p[1], clip));
        const int r = f(edgernn_limit(p[2], clip));
        const int n = g(edgernn_limit(p[0] + edgernn_shift15((int32_t)r * edgernn_saturate16(p[3])), clip));
        y[unit] = h[unit] = edgernn_blend(h[unit], n, z);
    }
}
