/* needs: exp2_table */
/* 2^-fraction in Q1.15, for a fraction of 2^-12 octaves below 4096. */
static inline uint16_t edgernn_exp2(uint16_t fraction) {
    const int16_t *const entry = (const int16_t *)edgernn_exp2_table + (fraction >> 6);
    const int32_t from = (uint16_t)edgernn_read_int16(entry), to = (uint16_t)edgernn_read_int16(entry + 1);
    return (uint16_t)(from - (((from - to) * (fraction & 63) + 32) >> 6));
}
