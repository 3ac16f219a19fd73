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

static inline int32_t edgernn_wide_floor(int32_t h) { return h < 0 ? 0 : h; }
