/* needs: wide_row_int8 */
/* edgernn_wide_row of int32 values and weights, in halves. */
EDGERNN_SHARED int32_t edgernn_wide_matrix32(int32_t h, const int32_t *W, const int32_t *constants, const int32_t *x,
                                             uint16_t columns) {
    int64_t sum = 0;
    for (uint16_t k = 0; k < columns; k++) {
        const int32_t w = edgernn_read_int32(W + k);
        sum += (int64_t)(int16_t)(w >> 16) * x[k] + (int64_t)(uint16_t)w * (int16_t)(x[k] >> 16);
    }
    return edgernn_wide_row(h, sum >> 16, constants);
}
