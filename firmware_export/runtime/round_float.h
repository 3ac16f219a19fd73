/* needs: platform */
/* Whole numbers near x; from 8388608 on every float is whole. */
static inline float edgernn_floor(float x) {
    if (!(x > -8388608.0f && x < 8388608.0f)) return x;
    const float whole = (float)(int32_t)x;
    return whole > x ? whole - 1.0f : whole;
}

static inline float edgernn_ceil(float x) { return -edgernn_floor(-x); }

/* The nearest whole number, of two equally near ones the even one. */
static inline float edgernn_round(float x) {
    const float below = edgernn_floor(x), rest = x - below;
    if (!(x > -8388608.0f && x < 8388608.0f)) return x;
    return rest > 0.5f || (rest == 0.5f && ((int32_t)below & 1)) ? below + 1.0f : below;
}
