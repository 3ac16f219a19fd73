/* needs: rescale exp2_int8 */
/* 2^-octaves, Q.12 to Q0.15. */
static inline uint16_t edgernn_exponential(int32_t octaves) {
    if (octaves > 69631) octaves = 69631;
    const uint8_t whole = (uint8_t)(octaves >> 12);
    return (uint16_t)((2 * edgernn_exp2(octaves) + ((int32_t)1 << whole)) >> (whole + 1));
}
