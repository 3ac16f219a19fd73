/* needs: rescale */
/* a / b times the multiplier of `scale`; 0 divides as 1 does. The shift counts 30 more bits, which the reciprocal has. */
static inline int edgernn_divide_int8(int16_t a, int16_t b, int32_t scale) {
    uint16_t aligned = b < 0 ? (uint16_t)(0u - (uint16_t)b) : (uint16_t)b;
    int8_t shift = (int8_t)scale;
    if (aligned == 0) aligned = 1;
    for (; aligned < 32768u; shift--) aligned = (uint16_t)(aligned << 1);
    uint32_t reciprocal = (((uint32_t)1 << 30) + (aligned >> 1)) / aligned;
    if (reciprocal > 32767u) reciprocal = 32767u;
    int32_t product = (b < 0 ? -(int32_t)a : (int32_t)a) * (int32_t)reciprocal;
    if (shift < -4) shift = -4; /* every quotient but 0 saturates */
    if (shift > 29) shift = 29;
    if (shift < 0) { /* what saturates anyway must not overflow */
        const int32_t most = (int32_t)1 << (shift + 20);
        if (product > most) product = most;
        if (product < -most) product = -most;
    }
    const uint32_t word = ((uint32_t)scale & 0xFFFF0000u) | (uint8_t)shift;
    return edgernn_saturate16(edgernn_rescale(product, (int32_t)word));
}
