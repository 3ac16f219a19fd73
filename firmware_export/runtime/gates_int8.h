/* needs: rescale */
/* Activations of int16 values, which travel as int: Q3.12 in and Q0.15 out for sigmoid and tanh. */

typedef int (*edgernn_function)(int x);

/* A gate's input, clipped and saturated. */
static inline int edgernn_limit(int32_t p, int32_t clip) {
    if (clip < 32768) {
        if (p > clip) return (int)clip;
        if (p < -clip) return (int)-clip;
    }
    return edgernn_saturate16(p);
}

/* A straight line between two neighbouring entries of a table that are 128 apart; `fraction` is below 128. Neighbours
 * in the tables of sigmoid and tanh grow, by at most 1024. */
EDGERNN_INLINE int edgernn_between(int from, int to, uint8_t fraction) {
#if defined(__AVR__)
    const uint16_t difference = (uint16_t)(to - from);
    uint16_t part; /* difference * fraction + 64 has 18 bits; shifting left by one leaves the result in whole bytes */
    uint8_t top;
    __asm__("mul %A[difference], %[fraction]\n"
            "movw %A[part], r0\n"
            "mul %B[difference], %[fraction]\n"
            "mov %[top], r1\n"
            "add %B[part], r0\n"
            "clr __zero_reg__\n"
            "adc %[top], __zero_reg__\n"
            "subi %A[part], 0xC0\n"
            "sbci %B[part], 0xFF\n"
            "sbci %[top], 0xFF\n"
            "lsl %A[part]\n"
            "rol %B[part]\n"
            "rol %[top]\n"
            "mov %A[part], %B[part]\n"
            "mov %B[part], %[top]\n"
            : [part] "=&d"(part), [top] "=&d"(top)
            : [difference] "r"(difference), [fraction] "r"(fraction)
            : "r0");
    return from + (int)part;
#else
    return from + (((to - from) * fraction + 64) >> 7);
#endif
}

EDGERNN_INLINE int edgernn_interpolate(const int16_t *table, uint16_t x) {
    const uint8_t index = (uint8_t)((uint16_t)(x << 1) >> 8); /* x >> 7 of 15 bits, by whole bytes */
    const int16_t *const entry = table + index;
#if defined(__AVR__)
    const int16_t *read = entry;
    int from, to;
    __asm__("lpm %A[from], Z+\n"
            "lpm %B[from], Z+\n"
            "lpm %A[to], Z+\n"
            "lpm %B[to], Z\n"
            : [from] "=&r"(from), [to] "=&r"(to), "+z"(read));
    return edgernn_between(from, to, (uint8_t)(x & 127u));
#else
    return edgernn_between(edgernn_read_int16(entry), edgernn_read_int16(entry + 1), (uint8_t)(x & 127u));
#endif
}

/* |x|, at most 32767. */
static inline uint16_t edgernn_magnitude(int x) {
    if (x >= 0) return (uint16_t)x;
    return (uint16_t)(x < -32767 ? 32767 : -x);
}

/* The cell of an LSTM in the format of its output function's input: `shift` fraction bits less. */
static inline int edgernn_cell_input(int c, int8_t shift) {
    if (shift > 0) return (int)((((int32_t)c >> (shift - 1)) + 1) >> 1);
    return edgernn_saturate16(c * ((int32_t)1 << -shift));
}

/* The state of a GRU between the candidate n and the old state h: the difference may have 17 bits, the sum has 16. */
static inline int16_t edgernn_blend(int h, int n, int z) {
    return (int16_t)((uint16_t)n + (uint16_t)edgernn_shift15(((int32_t)h - n) * z));
}
