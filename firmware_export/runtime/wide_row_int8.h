/* needs: wide_int8 */
/* h + a sum of weights times values, rescaled, + B; constants are scale and bias of the row. */
EDGERNN_SHARED int32_t edgernn_wide_row(int32_t h, int64_t sum, const int32_t *constants) {
    const int32_t scale = edgernn_read_int32(constants);
    const int8_t shift = (int8_t)((int8_t)scale + 17);
    sum = (sum * (int16_t)(scale >> 16) + ((int64_t)1 << (shift - 1))) >> shift;
    return edgernn_saturate32(sum + edgernn_read_int32(constants + 1) + h);
}
