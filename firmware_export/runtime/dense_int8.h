/* needs: product */
/* y = x W' + B: accumulate, rescale, add the bias, saturate. Rows come in fours, then alone; constants are scale
 * and bias of each row. `operand` has room for the columns, a multiple of four. */
static void edgernn_dense_int8(const int16_t *x, uint16_t columns, const edgernn_rows *W, const int32_t *constants,
                               uint16_t rows, int16_t *y, int16_t *operand) {
    const int narrow = edgernn_is_narrow(W, edgernn_blocks(columns));
    edgernn_half half = edgernn_load(W, narrow, x, columns, operand);
    uint16_t row = 0;
    while (row < rows) {
        int32_t p[4];
        const uint16_t end = (uint16_t)(row + (rows - row >= 4 ? 4 : 1));
        if (end - row == 4) {
            edgernn_set4(W, narrow, &half, constants, p);
        } else {
            edgernn_set1(W, narrow, &half, constants, p);
        }
        constants += 2 * (end - row);
        for (uint8_t k = 0; row < end; k++, row++) y[row] = (int16_t)edgernn_saturate16(p[k]);
    }
}
