/* needs: product gates_int8 */
/* Elman cell: h = f(W x + R h + B). Constants are, for each panel of four units or one, biases, scales of W and scales of
 * R. `operand` has room for input and state, each a multiple of four. */
static void edgernn_rnn_int8(const int16_t *x, uint16_t input_size, int16_t *h, uint16_t hidden_size, const edgernn_rows *W,
                             const edgernn_rows *R, const int32_t *constants, edgernn_function f, int32_t clip, int16_t *y,
                             int16_t *operand) {
    const uint16_t x_blocks = edgernn_blocks(input_size), h_blocks = edgernn_blocks(hidden_size);
    int16_t *const h_operand = operand + 4u * x_blocks;
    const int8_t *w = W->weights, *u = R->weights;
    uint16_t unit = 0;
    edgernn_load(W, x, input_size, operand);
    edgernn_load(R, h, hidden_size, h_operand);
    while (unit < hidden_size) {
        int32_t p[4];
        uint8_t count = 1; /* rows of the panel */
        if (hidden_size - unit >= 4) {
            edgernn_take4(constants, p);
            w = edgernn_add_rows4(W, w, operand, x_blocks, constants + 4, p);
            u = edgernn_add_rows4(R, u, h_operand, h_blocks, constants + 8, p);
            count = 4;
        } else {
            p[0] = edgernn_read_int32(constants);
            w = edgernn_add_rows1(W, w, operand, x_blocks, constants + 1, p);
            u = edgernn_add_rows1(R, u, h_operand, h_blocks, constants + 2, p);
        }
        constants += 3 * count;
        for (uint8_t k = 0; k < count; k++, unit++) y[unit] = h[unit] = (int16_t)f(edgernn_limit(p[k], clip));
    }
}
