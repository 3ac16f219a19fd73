#define EDGERNN_LARGEST 3.40282347e38f

/* The largest number in place of infinity; what is not a number stays so. */
static inline float edgernn_saturate(float x) {
    return x > EDGERNN_LARGEST ? EDGERNN_LARGEST : x < -EDGERNN_LARGEST ? -EDGERNN_LARGEST : x;
}

static inline int edgernn_is_finite(float x) { return x - x == 0.0f; }

/* y, which was computed of a and b: the largest number where that overflowed. */
static inline float edgernn_overflow(float y, float a, float b) {
    return edgernn_is_finite(y) || !edgernn_is_finite(a) || !edgernn_is_finite(b) ? y : edgernn_saturate(y);
}

/* a b + c d */
static inline float edgernn_two_products(float a, float b, float c, float d) {
    const float y = a * b + c * d;
    return edgernn_is_finite(y) ? y : edgernn_saturate(edgernn_saturate(a * b) + edgernn_saturate(c * d));
}
