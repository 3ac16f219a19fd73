/* needs: gates_int8 */
/* A function of x > 0 by its values at 0, at 32 places of each of 15 octaves and at 2^15, and straight lines between. */
static inline int edgernn_octaves(int x, const int16_t *table) {
    if (x <= 0) return edgernn_read_int16(table);
    uint16_t aligned = (uint16_t)x;
    uint8_t octave = 14;
    for (; aligned < 16384u; octave--) aligned = (uint16_t)(aligned << 1);
    const int16_t *const entry = table + 1 + 32u * octave + ((aligned >> 9) & 31u);
    const int32_t from = edgernn_read_int16(entry), to = edgernn_read_int16(entry + 1);
    return (int)(from + (((to - from) * (int32_t)(aligned & 511u) + 256) >> 9));
}

/* The same with f(-x) = -f(x). */
static inline int edgernn_odd_octaves(int x, const int16_t *table) {
    if (x >= 0) return edgernn_octaves(x, table);
    return -edgernn_octaves(x < -32767 ? 32767 : -x, table);
}
