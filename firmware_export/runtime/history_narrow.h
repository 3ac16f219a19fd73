/* needs: platform */
/* Puts a frame of `size` numbers, rounded to 8 bits, in place of the oldest of a ring; without x it is padding. */
static inline void edgernn_remember_narrow(int8_t *ring, int32_t *position, uint16_t length, uint16_t size,
                                           const int16_t *x, int16_t fill) {
    int8_t *const row = ring + (uint32_t)*position * size;
    for (uint16_t k = 0; k < size; k++) {
        const int32_t rounded = ((x ? (int32_t)x[k] : (int32_t)fill) + 128) >> 8;
        row[k] = (int8_t)(rounded > 127 ? 127 : rounded);
    }
    *position = *position + 1 < length ? *position + 1 : 0;
}

/* Every `dilation`th frame of a ring times 256, the oldest first. */
static inline void edgernn_recall_narrow(const int8_t *ring, const int32_t *position, uint16_t length, uint16_t size,
                                         uint16_t taps, uint16_t dilation, int16_t *y) {
    uint32_t frame = (uint32_t)*position;
    for (uint16_t tap = 0; tap < taps; tap++) {
        const int8_t *const row = ring + frame * size;
        for (uint16_t k = 0; k < size; k++) *y++ = (int16_t)(row[k] * 256);
        frame += dilation;
        if (frame >= length) frame -= length;
    }
}
