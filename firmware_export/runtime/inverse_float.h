/* needs: more_math_float */
/* Inverse functions of trigonometry, hyperbolic functions and their inverses: polynomials near 0, elsewhere logarithms,
 * roots and exponentials. What lies outside of the domain becomes NaN.
 * Source of the polynomials: S. Moshier, Cephes Mathematical Library, single precision, 1992. */

static float edgernn_asin_near_zero(float x) {
    const float z = x * x;
    return x + x * z * (1.6666752e-1f + z * (7.4953003e-2f + z * (4.5470026e-2f + z * (2.4181311e-2f + z * 4.2163199e-2f))));
}

static inline float edgernn_asin(float x) {
    const float magnitude = x < 0.0f ? -x : x;
    if (magnitude <= 0.5f) return edgernn_asin_near_zero(x);
    const float y = 1.5707964f - 2.0f * edgernn_asin_near_zero(edgernn_sqrt(0.5f - 0.5f * magnitude));
    return x < 0.0f ? -y : y;
}

static inline float edgernn_acos(float x) {
    if (x > 0.5f) return 2.0f * edgernn_asin_near_zero(edgernn_sqrt(0.5f - 0.5f * x));
    if (x < -0.5f) return 3.1415927f - 2.0f * edgernn_asin_near_zero(edgernn_sqrt(0.5f + 0.5f * x));
    return 1.5707964f - edgernn_asin_near_zero(x);
}

static inline float edgernn_atan(float x) {
    float a = x < 0.0f ? -x : x, from = 0.0f;
    if (a > 2.4142137f) { /* tan(3 pi / 8) */
        from = 1.5707964f;
        a = -1.0f / a;
    } else if (a > 0.41421357f) { /* tan(pi / 8) */
        from = 0.78539819f;
        a = (a - 1.0f) / (a + 1.0f);
    }
    const float z = a * a;
    const float y = from + (a + a * z * (-3.3332950e-1f + z * (1.9977711e-1f + z * (-1.3877686e-1f + z * 8.0537450e-2f))));
    return x < 0.0f ? -y : y;
}

static inline float edgernn_sinh(float x) {
    const float a = x < 0.0f ? -x : x, z = x * x;
    if (a < 1.0f) return x + x * z * (1.6666716e-1f + z * (8.3302838e-3f + z * 2.0372191e-4f));
    const float root = edgernn_exp(0.5f * a), y = 0.5f * root * root - 0.5f / root / root;
    return x < 0.0f ? -y : y;
}

static inline float edgernn_cosh(float x) {
    const float root = edgernn_exp(x < 0.0f ? -0.5f * x : 0.5f * x);
    return 0.5f * root * root + 0.5f / root / root;
}

static inline float edgernn_asinh(float x) {
    const float a = x < 0.0f ? -x : x, z = x * x;
    if (a < 0.5f) return x + x * z * (-1.6666288e-1f + z * (7.4847586e-2f + z * (-4.2699341e-2f + z * 2.0122003e-2f)));
    const float y = a > 1500.0f ? edgernn_log(a) + 0.69314718f : edgernn_log(a + edgernn_sqrt(z + 1.0f));
    return x < 0.0f ? -y : y;
}

static inline float edgernn_acosh(float x) {
    const float z = x - 1.0f;
    if (z < 0.0f) return edgernn_sqrt(z); /* not a number */
    if (x > 1500.0f) return edgernn_log(x) + 0.69314718f;
    if (z < 0.5f)
        return edgernn_sqrt(z) * (1.4142135f + z * (-1.1784742e-1f + z * (2.6454905e-2f + z * (-7.5272887e-3f +
                                  z * 1.7596881e-3f))));
    return edgernn_log(x + edgernn_sqrt(z * (x + 1.0f)));
}

static inline float edgernn_atanh(float x) {
    const float a = x < 0.0f ? -x : x, z = x * x;
    if (a < 0.5f)
        return x + x * z * (3.3333730e-1f + z * (1.9978216e-1f + z * (1.4669143e-1f + z * (8.2437037e-2f +
                            z * 1.8174008e-1f))));
    const float y = 0.5f * edgernn_log((1.0f + a) / (1.0f - a));
    return x < 0.0f ? -y : y;
}
