/* needs: saturate_float */
typedef float (*edgernn_float_join)(float a, float b);

static inline float edgernn_add(float a, float b) { return edgernn_overflow(a + b, a, b); }
static inline float edgernn_multiply(float a, float b) { return edgernn_overflow(a * b, a, b); }
/* The larger and the smaller of two numbers; what is not a number stays so. */
static inline float edgernn_larger(float a, float b) { return b > a || b != b ? b : a; }
static inline float edgernn_smaller(float a, float b) { return b < a || b != b ? b : a; }
