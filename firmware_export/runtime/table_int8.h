/* needs: gates_int8 */
/* Any function, by its values at -32768, -32640, ... 32768, and straight lines between. */
static inline int edgernn_table(int x, const int16_t *table) {
    const uint16_t position = (uint16_t)(x + 32768L);
    const int16_t *const entry = table + (position >> 7);
    const int32_t from = edgernn_read_int16(entry), to = edgernn_read_int16(entry + 1);
    return (int)(from + (((to - from) * (int32_t)(position & 127u) + 64) >> 7));
}
