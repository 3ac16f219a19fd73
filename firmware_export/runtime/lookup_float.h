/* needs: platform */
/* Rows of a table, by their numbers: below 0 they count from the end; outside of the table the nearest row is taken. */
static void edgernn_lookup_float(const int32_t *ids, uint16_t count, const float *table, int32_t rows, uint16_t size,
                                 float *y) {
    for (uint16_t k = 0; k < count; k++) {
        int32_t id = ids[k] < 0 ? ids[k] + rows : ids[k];
        id = id < 0 ? 0 : id < rows ? id : rows - 1;
        const float *const row = table + (uint32_t)id * size;
        for (uint16_t column = 0; column < size; column++) *y++ = edgernn_read_float(row + column);
    }
}
