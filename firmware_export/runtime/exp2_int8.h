/* needs: exp2_table */
/* 2^-fraction in Q1.15, of the last 12 bits of a number of 2^-12 octaves. */
static inline int32_t edgernn_exp2(int32_t octaves) {
    const uint16_t *const entry = edgernn_exp2_table + ((octaves >> 6) & 63);
    const int32_t from = (uint16_t)edgernn_read_int16((const int16_t *)entry),
                  to = (uint16_t)edgernn_read_int16((const int16_t *)entry + 1);
    return from - (((from - to) * (octaves & 63) + 32) >> 6);
}
