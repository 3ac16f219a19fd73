/* needs: math_float */
/* 2 / pi in binary digits, after 32 zeros. */
static const int32_t edgernn_two_over_pi[] EDGERNN_TABLE = {
    0, -1560706194, 1313084713, -64530479, -181084736, -614296167, 1011060801};

/* Sine of x + quarters * pi / 2. The quarter turns of x are taken off in whole numbers: x is its mantissa times a power
 * of two, and of 2 / pi only the 64 digits count that give less than four turns. So it is exact for every x.
 * Source: M. Payne and R. Hanek, Radian reduction for trigonometric functions, 1983. */
static float edgernn_sine(float x, uint8_t quarters) {
    edgernn_float_bits number;
    number.value = x;
    const uint32_t exponent = number.bits >> 23 & 0xFFu;
    if (exponent == 255u) return x - x; /* not a number */
    float rest = x < 0.0f ? -x : x;
    uint8_t quarter = 0;
    if (rest > 0.7853982f) { /* exponents from 126 on */
        const uint32_t first = exponent - 120u, word = first >> 5, shift = first & 31u; /* digit of the table */
        const uint32_t a = (uint32_t)edgernn_read_int32(edgernn_two_over_pi + word);
        const uint32_t b = (uint32_t)edgernn_read_int32(edgernn_two_over_pi + word + 1);
        const uint32_t c = (uint32_t)edgernn_read_int32(edgernn_two_over_pi + word + 2);
        uint64_t digits = (uint64_t)a << 32 | b;
        if (shift) digits = digits << shift | c >> (32u - shift);
        const uint64_t turns = ((number.bits & 0x7FFFFFu) | 0x800000u) * digits; /* quarters times 2^62 */
        const uint64_t nearest = turns + ((uint64_t)1 << 61);
        quarter = (uint8_t)(nearest >> 62);
        const uint32_t part = (uint32_t)(nearest >> 30) - ((uint32_t)1 << 31); /* of a quarter, times 2^32 */
        rest = (float)(int32_t)part * 3.6572996e-10f;                          /* pi / 2 / 2^32 */
    }
    if (x < 0.0f) {
        rest = -rest;
        quarter = (uint8_t)(4u - quarter);
    }
    quarter = (uint8_t)((uint8_t)(quarter + quarters) & 3u);
    const float square = rest * rest;
    const float sine = rest + rest * square * (-1.6666667e-1f + square * (8.333333e-3f + square * (-1.984127e-4f +
                       square * 2.7557319e-6f)));
    const float cosine = 1.0f + square * (-0.5f + square * (4.1666668e-2f + square * (-1.3888889e-3f +
                         square * 2.4801588e-5f)));
    const float y = quarter & 1u ? cosine : sine;
    return quarter & 2u ? -y : y;
}
