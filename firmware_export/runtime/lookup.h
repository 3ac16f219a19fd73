/* needs: platform */
#define edgernn_read_int16_t edgernn_read_int16
/* Rows of a table, by their numbers: below 0 they count from the end; outside of the table the nearest row is taken. */
static void edgernn_lookup_NUMBER(const int32_t *ids, uint16_t count, const NUMBER *table, int32_t rows, uint16_t size,
                                  NUMBER *y) {
    for (uint16_t k = 0; k < count; k++) {
        int32_t id = ids[k] < 0 ? ids[k] + rows : ids[k];
        id = id < 0 ? 0 : id < rows ? id : rows - 1;
        const NUMBER *const row = table + (uint32_t)id * size;
        for (uint16_t column = 0; column < size; column++) *y++ = edgernn_read_NUMBER(row + column);
    }
}
