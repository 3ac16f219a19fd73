/* needs: platform */
/* Elementary functions made of + - * / alone: every processor gives the same bits, which no two C libraries do.
 * (Compile with -ffp-contract=off, or results differ in the last bits between chips with and without fused
 * multiply-add.) Series are Taylor's. */

typedef union {
    float value;
    uint32_t bits;
} edgernn_float_bits;

/* 2^n for n from -126 to 127. */
static inline float edgernn_power_of_two(int16_t n) {
    edgernn_float_bits power;
    power.bits = (uint32_t)((int32_t)n + 127) << 23;
    return power.value;
}

static float edgernn_exp(float x) {
    if (x > 88.72283f) return 3.4028235e38f * 2.0f; /* infinity */
    if (x < -87.0f) return 0.0f;                     /* no subnormal numbers */
    const int16_t n = (int16_t)(x * 1.442695f + (x < 0.0f ? -0.5f : 0.5f));
    const float rest = (x - (float)n * 0.693359375f) + (float)n * 2.1219444e-4f; /* ln 2 in two parts */
    const float y = 1.0f + rest * (1.0f + rest * (0.5f + rest * (1.6666667e-1f + rest * (4.1666668e-2f +
                    rest * (8.333334e-3f + rest * (1.3888889e-3f + rest * 1.9841270e-4f))))));
    return n > 127 ? y * edgernn_power_of_two(127) * 2.0f : y * edgernn_power_of_two(n);
}

static inline float edgernn_sigmoid_float(float x) {
    if (x >= 0.0f) return 1.0f / (1.0f + edgernn_exp(-x));
    const float e = edgernn_exp(x);
    return e / (1.0f + e);
}

static inline float edgernn_tanh_float(float x) {
    const float magnitude = x < 0.0f ? -x : x;
    if (magnitude < 0.35f) {
        const float square = x * x;
        return x * (1.0f + square * (-3.3333334e-1f + square * (1.3333334e-1f + square * (-5.3968254e-2f +
                    square * (2.1869488e-2f + square * -8.8632355e-3f)))));
    }
    const float y = magnitude > 10.0f ? 1.0f : 1.0f - 2.0f / (edgernn_exp(2.0f * magnitude) + 1.0f);
    return x < 0.0f ? -y : y;
}
