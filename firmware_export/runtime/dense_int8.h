/* needs: product */
/* y = x W' + B: accumulate, rescale, add the bias, saturate. Constants are, for each panel of four rows or one, biases and
 * scales. `operand` has room for the columns, a multiple of four. */
static void edgernn_dense_int8(const int16_t *x, uint16_t columns, const edgernn_rows *W, const int32_t *constants,
                               uint16_t rows, int16_t *y, int16_t *operand) {
    const uint16_t blocks = edgernn_blocks(columns);
    const int8_t *w = W->weights;
    uint16_t row = 0;
    edgernn_load(W, x, columns, operand);
    while (row < rows) {
        int32_t p[4];
        uint8_t count = 1; /* rows of the panel */
        if (rows - row >= 4) {
            edgernn_take4(constants, p);
            w = edgernn_add_rows4(W, w, operand, blocks, constants + 4, p);
            count = 4;
        } else {
            p[0] = edgernn_read_int32(constants);
            w = edgernn_add_rows1(W, w, operand, blocks, constants + 1, p);
        }
        constants += 2 * count;
        for (uint8_t k = 0; k < count; k++) y[row++] = (int16_t)edgernn_saturate16(p[k]);
    }
}
