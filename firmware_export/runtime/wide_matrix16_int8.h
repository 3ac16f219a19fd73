/* needs: wide_row_int8 */
/* edgernn_wide_row of int16 values and weights. */
EDGERNN_SHARED int32_t edgernn_wide_matrix16(int32_t h, const int16_t *W, const int32_t *constants, const int16_t *x,
                                             uint16_t columns) {
    int64_t sum = 0;
    for (uint16_t k = 0; k < columns; k++) sum += (int32_t)edgernn_read_int16(W + k) * x[k];
    return edgernn_wide_row(h, sum, constants);
}
