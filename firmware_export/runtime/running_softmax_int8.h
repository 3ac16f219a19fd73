/* needs: rescale power_of_two_int8 limit64 */
/* x / 2^shift, rounded to nearest, halves up. */
static inline int64_t edgernn_rounded_shift64(int64_t x, uint8_t shift) {
    return shift ? (x + ((int64_t)1 << (shift - 1))) >> shift : x;
}

/* (x + divisor / 2) / divisor rounded down, as an int16, for a divisor from 2^24 to 2^26. */
EDGERNN_SHARED int16_t edgernn_weighted_mean(int64_t x, uint32_t divisor) {
    const int64_t shifted = x + (int64_t)(divisor >> 1) + (int64_t)divisor * 32768; /* quotients from -32768 are from 0 */
    if (shifted < 0) return -32767 - 1;
    if ((uint64_t)shifted >> 16 >= divisor) return 32767;
#if defined(__AVR__)
    /* Digit by digit: the quotient moves in where the number's low half moves out. */
    uint32_t rest = (uint32_t)((uint64_t)shifted >> 16);
    uint16_t quotient = (uint16_t)shifted;
    uint8_t digits = 16;
    __asm__("1: lsl %A[q]\n"
            "rol %B[q]\n"
            "rol %A[rest]\n"
            "rol %B[rest]\n"
            "rol %C[rest]\n"
            "rol %D[rest]\n"
            "cp %A[rest], %A[divisor]\n"
            "cpc %B[rest], %B[divisor]\n"
            "cpc %C[rest], %C[divisor]\n"
            "cpc %D[rest], %D[divisor]\n"
            "brcs 2f\n"
            "sub %A[rest], %A[divisor]\n"
            "sbc %B[rest], %B[divisor]\n"
            "sbc %C[rest], %C[divisor]\n"
            "sbc %D[rest], %D[divisor]\n"
            "inc %A[q]\n"
            "2: dec %[digits]\n"
            "brne 1b\n"
            : [rest] "+r"(rest), [q] "+r"(quotient), [digits] "+r"(digits)
            : [divisor] "r"(divisor));
#else
    /* At most 5 too small: the number without its last bits, by a little more than the divisor. */
    uint32_t quotient = (uint32_t)((uint64_t)shifted >> 10) / ((divisor >> 10) + 1);
    uint32_t rest = (uint32_t)shifted - quotient * divisor;
    for (; rest >= divisor; rest -= divisor) quotient++;
#endif
    return (int16_t)((int32_t)quotient - 32768);
}

/* The mean of all values so far with `bits` more fraction bits, weighted by a softmax of their scores, in groups of
 * their own. `scale` brings scores to 2^-12 octaves. Weights are relative to `reference`, which rises by whole octaves:
 * then the sums are shifted. */
static void edgernn_running_softmax_int8(const int16_t *scores, const int16_t *values, uint16_t groups, uint16_t size,
                                         int32_t scale, uint8_t bits, int32_t *reference, int64_t *total,
                                         int64_t *weighted, int16_t *y) {
    const int64_t most = (int64_t)1 << 46, largest = (int64_t)1 << 61;
    for (uint16_t group = 0; group < groups; group++, reference++, total++) {
        const int32_t octaves = edgernn_rescale(scores[group], scale);
        const uint8_t begins = *total <= 0;
        int64_t sum = begins ? 0 : edgernn_limit64(*total, most >> 2, most);
        int32_t origin = begins ? octaves : *reference;
        if (origin > 536870912) origin = 536870912;
        if (origin < -536870912) origin = -536870912;
        int32_t rise = (octaves - origin + 4095) >> 12;
        if (rise < 0) rise = 0;
        if (rise == 0 && sum >= most >> 1) rise = 1;
        origin += rise * 4096;
        const uint8_t down = rise > 62 ? 62 : (uint8_t)rise;
        const int32_t depth = origin - octaves, left = 30 - (depth >> 12);
        uint16_t weight = edgernn_power_of_two((uint16_t)depth & 4095); /* times 2^left */
        if (left < -16) {
            weight = 0;
        } else if (left < 0) {
            weight = (uint16_t)((weight + ((uint32_t)1 << (-left - 1))) >> -left);
        }
        const int32_t factor = (int32_t)1 << (left < 0 ? 0 : left);
        *reference = origin;
        *total = sum = edgernn_rounded_shift64(sum, down) + (int64_t)weight * factor;
        const uint32_t divisor = (uint32_t)(sum >> 20);
        for (uint16_t k = 0; k < size; k++, weighted++) {
            int64_t pooled = begins ? 0 : edgernn_limit64(*weighted, -largest, largest);
            pooled = edgernn_rounded_shift64(pooled, down) + (int64_t)((int32_t)weight * *values++) * factor;
            *weighted = pooled;
            *y++ = edgernn_weighted_mean(pooled >> (20 - bits), divisor);
        }
    }
}
