/* needs: product gates_int8 fine_sigmoid_int8 */
/* The input of one gate of one unit: rows of W and R, whose panels are single rows, and the bias. */
static int32_t edgernn_single_row(const int16_t *x_operand, uint16_t x_blocks, const int16_t *h_operand,
                                  uint16_t h_blocks, const edgernn_rows *W, const edgernn_rows *R, const int32_t *constants,
                                  uint16_t row) {
    constants += 3u * (uint32_t)row;
    int32_t p = edgernn_read_int32(constants);
    (void)edgernn_add_rows1(W, W->weights + (uint32_t)row * (4u * x_blocks), x_operand, x_blocks, constants + 1, &p);
    (void)edgernn_add_rows1(R, R->weights + (uint32_t)row * (4u * h_blocks), h_operand, h_blocks, constants + 2, &p);
    return p;
}

/* Gated recurrent unit, the reset gate before the product. Rows are single: all of z, then r, then h. Constants are bias,
 * scale of W and scale of R of each row. The state is int16, or int32
 * if it is `wide`: slow units need 16 more fraction bits. `operand` has room for the input and
 * twice the state, each a multiple of four. */
static void edgernn_gru_reset_first_int8(const int16_t *x, uint16_t input_size, void *state, int wide,
                                         uint16_t hidden_size, const edgernn_rows *W, const edgernn_rows *R, const int32_t *constants,
                                         edgernn_function f, edgernn_function g, int32_t clip, int16_t *y,
                                         int16_t *operand) {
    const uint16_t x_blocks = edgernn_blocks(input_size), h_blocks = edgernn_blocks(hidden_size);
    int16_t *const h_operand = operand + 4u * x_blocks, *const reset_operand = h_operand + 4u * h_blocks;
    int16_t *const h = (int16_t *)state;
    int32_t *const wide_h = (int32_t *)state;
    edgernn_load(W, x, input_size, operand);
    for (uint16_t unit = 0; unit < hidden_size; unit++) y[unit] = wide ? (int16_t)(wide_h[unit] >> 16) : h[unit];
    edgernn_load(R, y, hidden_size, h_operand);
    for (uint16_t unit = 0; unit < hidden_size; unit++) {
        const uint16_t row = (uint16_t)(hidden_size + unit);
        const int32_t p = edgernn_single_row(operand, x_blocks, h_operand, h_blocks, W, R, constants, row);
        y[unit] = (int16_t)edgernn_shift15((int32_t)f(edgernn_limit(p, clip)) * y[unit]);
    }
    edgernn_load(R, y, hidden_size, reset_operand);
    for (uint16_t unit = 0; unit < hidden_size; unit++) {
        const uint16_t row = (uint16_t)(2u * hidden_size + unit);
        const int32_t p_z = edgernn_single_row(operand, x_blocks, h_operand, h_blocks, W, R, constants, unit);
        const int32_t p_n = edgernn_single_row(operand, x_blocks, reset_operand, h_blocks, W, R, constants, row);
        const int n = g(edgernn_limit(p_n, clip));
        if (wide) {
            const int32_t way = edgernn_fine_sigmoid(-edgernn_fine_limit(p_z, clip));
            const int32_t step = edgernn_multiply_fine((int32_t)n - (int16_t)(wide_h[unit] >> 16), way);
            wide_h[unit] = wide_h[unit] + step + step;
            y[unit] = (int16_t)(wide_h[unit] >> 16);
        } else {
            const int z = f(edgernn_limit(p_z, clip));
            y[unit] = h[unit] = edgernn_blend(h[unit], n, z);
        }
    }
}
