/* needs: platform */
typedef float (*edgernn_float_join)(float a, float b);

static inline float edgernn_add(float a, float b) { return a + b; }
static inline float edgernn_multiply(float a, float b) { return a * b; }
/* The larger and the smaller of two numbers; what is not a number stays so. */
static inline float edgernn_larger(float a, float b) { return b > a || b != b ? b : a; }
static inline float edgernn_smaller(float a, float b) { return b < a || b != b ? b : a; }

/* Joins `count` numbers of x (outer, count, inner); y (outer, inner) is divided by `divisor`. */
static void edgernn_reduce_float(const float *x, uint16_t outer, uint16_t count, uint16_t inner,
                                 edgernn_float_join join, float divisor, float *y) {
    for (uint16_t row = 0; row < outer; row++, x += (uint32_t)count * inner) {
        for (uint16_t column = 0; column < inner; column++) {
            const float *from = x + column;
            float joined = *from;
            for (uint16_t k = 1; k < count; k++) joined = join(joined, *(from += inner));
            *y++ = joined / divisor;
        }
    }
}
