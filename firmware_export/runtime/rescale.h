/* needs: platform */
/* Saturation and rescaling of integers. A row's scale is one word: the multiplier in its high half, shift - 17 in its
 * low byte, as a signed number. */

#if defined(__AVR__)
#define EDGERNN_SHARED __attribute__((noinline)) static /* long on a machine of 8 bits */
#else
#define EDGERNN_SHARED static inline
#endif

/* The nearest int16, in the machine's own integer: int has at least 16 bits. */
EDGERNN_INLINE int edgernn_saturate16(int32_t x) {
#if defined(__ARM_FEATURE_SAT)
    int saturated;
    __asm__("ssat %0, #16, %1" : "=r"(saturated) : "r"(x));
    return saturated;
#elif defined(__AVR__)
    uint8_t sign; /* of the low half: the high half must be all of it */
    __asm__("mov %[sign], %B[x]\n"
            "lsl %[sign]\n"
            "sbc %[sign], %[sign]\n"
            "cp %C[x], %[sign]\n"
            "cpc %D[x], %[sign]\n"
            "breq 1f\n"
            "ldi %A[x], 0xFF\n"
            "ldi %B[x], 0x7F\n"
            "lsl %D[x]\n"
            "adc %A[x], __zero_reg__\n"
            "adc %B[x], __zero_reg__\n"
            "1:"
            : [x] "+d"(x), [sign] "=&r"(sign));
    return (int)x;
#else
    if (x > 32767) return 32767;
    if (x < -32768) return -32767 - 1;
    return (int)x;
#endif
}

/* (x * multiplier) >> 16 without a 64-bit product; the multiplier is the high half of `scale`. */
static inline int32_t edgernn_multiply_high(int32_t x, int32_t scale) {
#if defined(__ARM_FEATURE_SIMD32)
    int32_t product;
    __asm__("smulwt %0, %1, %2" : "=r"(product) : "r"(x), "r"(scale));
    return product;
#elif defined(__AVR__)
    /* Bytes 2 to 5 of the product of four bytes and two; byte 1 only for its carry. The carry of MULSU is the sign. */
    const int16_t multiplier = (int16_t)(scale >> 16);
    int32_t product;
    uint8_t byte1, sign;
    __asm__("mul %A[x], %A[m]\n"
            "mov %[byte1], r1\n"
            "mul %C[x], %A[m]\n"
            "movw %A[product], r0\n"
            "muls %D[x], %B[m]\n"
            "movw %C[product], r0\n"
            "clr %[sign]\n"
            "mul %B[x], %A[m]\n"
            "add %[byte1], r0\n"
            "adc %A[product], r1\n"
            "adc %B[product], %[sign]\n"
            "adc %C[product], %[sign]\n"
            "adc %D[product], %[sign]\n"
            "mulsu %B[m], %A[x]\n"
            "sbc %[sign], %[sign]\n"
            "add %[byte1], r0\n"
            "adc %A[product], r1\n"
            "adc %B[product], %[sign]\n"
            "adc %C[product], %[sign]\n"
            "adc %D[product], %[sign]\n"
            "mulsu %B[m], %B[x]\n"
            "sbc %[sign], %[sign]\n"
            "add %A[product], r0\n"
            "adc %B[product], r1\n"
            "adc %C[product], %[sign]\n"
            "adc %D[product], %[sign]\n"
            "mulsu %B[m], %C[x]\n"
            "sbc %[sign], %[sign]\n"
            "add %B[product], r0\n"
            "adc %C[product], r1\n"
            "adc %D[product], %[sign]\n"
            "mulsu %D[x], %A[m]\n"
            "sbc %[sign], %[sign]\n"
            "add %B[product], r0\n"
            "adc %C[product], r1\n"
            "adc %D[product], %[sign]\n"
            "clr __zero_reg__\n"
            : [product] "=&r"(product), [byte1] "=&r"(byte1), [sign] "=&r"(sign)
            : [x] "a"(x), [m] "a"(multiplier)
            : "r0");
    return product;
#else
    const int16_t multiplier = (int16_t)(scale >> 16);
    const int32_t low = (int32_t)((uint32_t)x & 0xFFFFu);
    return (int32_t)(int16_t)(x >> 16) * multiplier + ((low * multiplier) >> 16);
#endif
}

/* x * multiplier / 2^shift, rounded to nearest, halves up. */
EDGERNN_SHARED int32_t edgernn_rescale(int32_t x, int32_t scale) {
    int8_t shift = (int8_t)scale;
    if (shift < 0) {
        x *= (int32_t)1 << -shift;
        shift = 0;
    }
    return ((edgernn_multiply_high(x, scale) >> shift) + 1) >> 1;
}

/* The same of a sum of weights, limited to what a shift to the left leaves in 32 bits. */
static inline int32_t edgernn_rescale_sum(int32_t x, int32_t scale) {
    const int8_t shift = (int8_t)scale;
    if (shift < 0) {
        const int32_t most = 2147483647 >> -shift;
        if (x > most) x = most;
        if (x < -most - 1) x = -most - 1;
    }
    return edgernn_rescale(x, scale);
}

/* The same where no shift is below 17. */
static inline int32_t edgernn_rescale_down(int32_t x, int32_t scale) {
#if defined(__AVR__)
    return edgernn_rescale(x, scale);
#else
    const int8_t shift = (int8_t)scale;
#if defined(__GNUC__)
    if (shift < 0 || shift > 29) __builtin_unreachable(); /* checkers do not know the tables */
#endif
    return ((edgernn_multiply_high(x, scale) >> shift) + 1) >> 1;
#endif
}

/* x / 2^15, rounded to nearest, halves up; the result must fit into 16 bits, or only they matter. */
static inline int edgernn_shift15(int32_t x) {
    x += 16384;
#if defined(__AVR__)
    __asm__("lsl %B[x]\n"
            "rol %C[x]\n"
            "rol %D[x]\n"
            : [x] "+r"(x));
    return (int)(x >> 16); /* it shifts by one bit at a time, or by whole bytes */
#else
    return (int)(x >> 15);
#endif
}
