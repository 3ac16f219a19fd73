/* needs: fine_sigmoid_int8 */
/* Updates of an int32 state. */
static inline int32_t edgernn_saturate32(int64_t x) {
    return x > 2147483647 ? 2147483647 : x < -2147483647 - 1 ? -2147483647 - 1 : (int32_t)x;
}

/* h + x * fine in two halves, for x of 17 bits and `fine` of 31; or h - x * fine. */
static inline int32_t edgernn_wide_product(int32_t h, int32_t x, int32_t fine, int negative) {
    int32_t half = edgernn_multiply_fine(x, fine);
    if (negative) half = -half;
    return edgernn_saturate32((int64_t)edgernn_saturate32((int64_t)h + half) + half);
}

/* h + x * 2^shift, or minus. */
static inline int32_t edgernn_wide_shifted(int32_t h, int16_t x, uint8_t shift, int negative) {
    const int64_t shifted = (int64_t)x * ((int32_t)1 << shift);
    return edgernn_saturate32(negative ? h - shifted : h + shifted);
}

/* h + a sum of weights times values, rescaled, + B; constants are scale and bias of the row. */
EDGERNN_SHARED int32_t edgernn_wide_row(int32_t h, int64_t sum, const int32_t *constants) {
    const int32_t scale = edgernn_read_int32(constants);
    const int8_t shift = (int8_t)((int8_t)scale + 17);
    sum = (sum * (int16_t)(scale >> 16) + ((int64_t)1 << (shift - 1))) >> shift;
    return edgernn_saturate32(sum + edgernn_read_int32(constants + 1) + h);
}

/* Of int16 values and weights. */
EDGERNN_SHARED int32_t edgernn_wide_matrix16(int32_t h, const int16_t *W, const int32_t *constants, const int16_t *x,
                                             uint16_t columns) {
    int64_t sum = 0;
    for (uint16_t k = 0; k < columns; k++) sum += (int32_t)edgernn_read_int16(W + k) * x[k];
    return edgernn_wide_row(h, sum, constants);
}

/* Of int32 values and weights, in halves. */
EDGERNN_SHARED int32_t edgernn_wide_matrix32(int32_t h, const int32_t *W, const int32_t *constants, const int32_t *x,
                                             uint16_t columns) {
    int64_t sum = 0;
    for (uint16_t k = 0; k < columns; k++) {
        const int32_t w = edgernn_read_int32(W + k);
        sum += (int64_t)(int16_t)(w >> 16) * x[k] + (int64_t)(uint16_t)w * (int16_t)(x[k] >> 16);
    }
    return edgernn_wide_row(h, sum >> 16, constants);
}

static inline int32_t edgernn_wide_floor(int32_t h) { return h < 0 ? 0 : h; }
