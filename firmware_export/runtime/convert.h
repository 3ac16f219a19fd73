/* needs: platform */
/* The whole part of a number, saturated. */
static inline int32_t edgernn_to_int32(float x) {
    if (x >= 2147483648.0f) return INT32_MAX;
    return x > -2147483648.0f ? (int32_t)x : -INT32_MAX - 1; /* also for what is not a number */
}
