/* needs: math_float */
/* Elementary functions that few models need. */

/* Natural logarithm. */
static float edgernn_log(float x) {
    int16_t exponent = 0;
    if (x <= 0.0f) return x < 0.0f ? (x - x) / (x - x) : -3.4028235e38f * 2.0f;
    if (x > 3.4028235e38f) return x;
    if (x < 1.17549435e-38f) { /* subnormal */
        x *= 8388608.0f;
        exponent = -23;
    }
    edgernn_float_bits number;
    number.value = x;
    exponent = (int16_t)(exponent + (int16_t)(number.bits >> 23) - 127);
    number.bits = (number.bits & 0x7FFFFFu) | 0x3F800000u; /* 1 <= value < 2 */
    if (number.value > 1.4142135f) {
        number.value *= 0.5f;
        exponent++;
    }
    const float s = (number.value - 1.0f) / (number.value + 1.0f), square = s * s;
    const float mantissa = 2.0f * s * (1.0f + square * (3.3333334e-1f + square * (0.2f + square * (1.4285715e-1f +
                           square * 1.1111111e-1f))));
    return (float)exponent * 0.693359375f + (mantissa - (float)exponent * 2.1219444e-4f);
}

/* log(1 + exp(x)). */
static inline float edgernn_softplus(float x) {
    return (x > 0.0f ? x : 0.0f) + edgernn_log(1.0f + edgernn_exp(x > 0.0f ? -x : x));
}

/* Error function; Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26, error below 2e-7. */
static inline float edgernn_erf(float x) {
    const float magnitude = x < 0.0f ? -x : x;
    const float t = 1.0f / (1.0f + 0.3275911f * magnitude);
    const float sum = t * (0.2548296f + t * (-0.2844967f + t * (1.421414f + t * (-1.453152f + t * 1.061405f))));
    const float y = 1.0f - sum * edgernn_exp(-magnitude * magnitude);
    return x < 0.0f ? -y : y;
}

/* Square root by Newton's method; the first guess halves the exponent. */
static inline float edgernn_sqrt(float x) {
    if (!(x > 0.0f) || x > 3.4028235e38f) return x < 0.0f ? (x - x) / (x - x) : x;
    edgernn_float_bits guess;
    guess.value = x;
    guess.bits = (guess.bits >> 1) + 0x1FBD1DF5u;
    for (uint8_t k = 0; k < 4; k++) guess.value = 0.5f * (guess.value + x / guess.value);
    return guess.value;
}

/* a to the power of b; small whole powers by multiplication, as 0 and negative numbers have only those. */
static inline float edgernn_power(float a, float b) {
    if (b >= -64.0f && b <= 64.0f && b == (float)(int16_t)b) {
        float y = 1.0f, factor = a;
        for (int16_t n = (int16_t)(b < 0.0f ? -b : b); n; n >>= 1) {
            if (n & 1) y *= factor;
            factor *= factor;
        }
        return b < 0.0f ? 1.0f / y : y;
    }
    if (a == 0.0f) return b > 0.0f ? 0.0f : 3.4028235e38f * 2.0f;
    return edgernn_exp(b * edgernn_log(a));
}
