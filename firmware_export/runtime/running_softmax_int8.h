/* needs: rescale exp2_int8 limit64 */
/* A sum is used within ±2^60, whatever it was set to. */
static inline void edgernn_limit_weighted(int64_t *sum) {
    const int64_t largest = (int64_t)1 << 60;
#if defined(__AVR__)
    if ((uint8_t)(((const uint8_t *)sum)[7] + 16u) < 32u) return; /* the first byte tells it of all but one number */
#else
    if ((uint32_t)((uint64_t)*sum >> 32) + 0x10000000u < 0x20000000u) return;
#endif
    *sum = edgernn_limit64(*sum, -largest, largest);
}

/* sum + x * 2^left for a `left` of at most 29 and |x| <= 2^30. */
EDGERNN_SHARED void edgernn_add_shifted(int64_t *sum, int32_t x, uint8_t left) {
    edgernn_limit_weighted(sum);
#if defined(__AVR__)
    /* Bits are shifted in five bytes, bytes by where these are added; the sign is added to those above. */
    uint8_t *to = (uint8_t *)sum + (left >> 3);
    uint8_t bits = left & 7, above = (uint8_t)(3 - (left >> 3)), fifth, byte;
    __asm__ volatile("mov %[fifth], %D[x]\n"
            "lsl %[fifth]\n"
            "sbc %[fifth], %[fifth]\n"
            "rjmp 2f\n"
            "1: lsl %A[x]\n"
            "rol %B[x]\n"
            "rol %C[x]\n"
            "rol %D[x]\n"
            "rol %[fifth]\n"
            "2: dec %[bits]\n"
            "brpl 1b\n"
            "mov %[bits], %[fifth]\n"
            "lsl %[bits]\n"
            "sbc %[bits], %[bits]\n"
            "ld %[byte], %a[to]\n"
            "add %[byte], %A[x]\n"
            "st %a[to]+, %[byte]\n"
            "ld %[byte], %a[to]\n"
            "adc %[byte], %B[x]\n"
            "st %a[to]+, %[byte]\n"
            "ld %[byte], %a[to]\n"
            "adc %[byte], %C[x]\n"
            "st %a[to]+, %[byte]\n"
            "ld %[byte], %a[to]\n"
            "adc %[byte], %D[x]\n"
            "st %a[to]+, %[byte]\n"
            "ld %[byte], %a[to]\n"
            "adc %[byte], %[fifth]\n"
            "st %a[to]+, %[byte]\n"
            "rjmp 4f\n"
            "3: ld %[byte], %a[to]\n"
            "adc %[byte], %[bits]\n"
            "st %a[to]+, %[byte]\n"
            "4: dec %[above]\n"
            "brpl 3b\n"
            : [to] "+e"(to), [x] "+r"(x), [bits] "+r"(bits), [above] "+r"(above), [fifth] "=&r"(fifth),
              [byte] "=&r"(byte)
            :
            : "memory");
#else
    *sum += (int64_t)x * ((int32_t)1 << left);
#endif
}

/* (sum / 2^16 + divisor / 2) / divisor rounded down, as an int16, for a divisor from 2^(14 + bits) to 2^(16 + bits). */
EDGERNN_SHARED int16_t edgernn_share(const int64_t *sum, uint32_t divisor, uint8_t bits) {
    /* quotients from -32768 on are counted from 0 */
#if defined(__AVR__)
    const uint32_t half = divisor >> 1;
    uint16_t quotient;
    int32_t high;
    __builtin_memcpy(&quotient, (const uint8_t *)sum + 2, 2);
    __builtin_memcpy(&high, (const uint8_t *)sum + 4, 4);
    uint32_t low = (uint32_t)quotient + (uint16_t)half; /* + half, then + half * 2^16 and the bit that half has lost */
    high += (int32_t)((half >> 16) + (low >> 16) + half);
    low = (uint32_t)(uint16_t)low + ((divisor & 1) ? 32768u : 0u);
    high += (int32_t)(low >> 16);
    quotient = (uint16_t)low;
    (void)bits;
    if (high < 0) return -32767 - 1;
    uint32_t rest = (uint32_t)high;
    if (rest >= divisor) return 32767;
    /* Digit by digit: the quotient moves in where the low bits move out. */
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
            : [rest] "+&r"(rest), [q] "+&r"(quotient), [digits] "+&r"(digits)
            : [divisor] "r"(divisor));
#else
    const int64_t x = (*sum >> 16) + (int64_t)(divisor >> 1) + (int64_t)divisor * 32768;
    if (x < 0) return -32767 - 1;
    if ((uint64_t)x >> 16 >= divisor) return 32767;
    /* At most 5 too small: the number without its last bits, by a little more than the divisor. */
    uint32_t quotient = (uint32_t)((uint64_t)x >> bits) / ((divisor >> bits) + 1);
    for (uint32_t rest = (uint32_t)x - quotient * divisor; rest >= divisor; rest -= divisor) quotient++;
#endif
    return (int16_t)((int32_t)quotient - 32768);
}

/* The mean of all values so far with `bits` more fraction bits, weighted by a softmax of their scores, in groups of
 * their own. `scale` brings scores to 2^-12 octaves. Weights are relative to `reference`, which rises by whole octaves:
 * then the sums are shifted. */
static void edgernn_running_softmax_int8(const int16_t *scores, const int16_t *values, uint16_t groups, uint16_t size,
                                         int32_t scale, uint8_t bits, int32_t *reference, int64_t *total,
                                         int64_t *weighted, int16_t *y) {
    const int64_t most = (int64_t)1 << 45;
    for (uint16_t group = 0; group < groups; group++, reference++, total++, weighted += size) {
        const int32_t octaves = edgernn_rescale(scores[group], scale);
        int64_t sum = 0;
        int32_t origin = octaves;
        if (*total > 0) {
            sum = edgernn_limit64(*total, most >> 2, most);
            origin = *reference < -536870912 ? -536870912 : *reference > 536870912 ? 536870912 : *reference;
        } else {
            for (uint16_t k = 0; k < size; k++) weighted[k] = 0;
        }
        int32_t rise = (octaves - origin + 4095) >> 12;
        if (rise <= 0) rise = sum >= most >> 1;
        if (rise > 0) {
            const uint8_t down = rise > 62 ? 62 : (uint8_t)rise;
            const int64_t half = (int64_t)1 << (down - 1);
            origin += rise * 4096;
            sum = (sum + half) >> down;
            for (uint16_t k = 0; k < size; k++) {
                edgernn_limit_weighted(&weighted[k]);
                weighted[k] = (weighted[k] + half) >> down;
            }
        }
        const int32_t depth = origin - octaves, left = 29 - (depth >> 12);
        uint16_t weight = (uint16_t)edgernn_exp2(depth); /* times 2^left */
        if (left < 0) weight = left < -16 ? 0 : (uint16_t)((weight + ((uint32_t)1 << (-left - 1))) >> -left);
        const uint8_t raised = left < 0 ? 0 : (uint8_t)left;
        edgernn_add_shifted(&sum, weight, raised);
        *reference = origin;
        *total = sum;
        const uint32_t divisor = (uint32_t)(sum >> (16 + bits));
        for (uint16_t k = 0; k < size; k++) {
            edgernn_add_shifted(&weighted[k], (int32_t)weight * *values++, raised);
            *y++ = edgernn_share(&weighted[k], divisor, (uint8_t)(13 - bits));
        }
    }
}
