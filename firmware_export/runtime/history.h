/* needs: platform */
/* Puts a frame of `size` numbers in place of the oldest of a ring of `length` frames; without x the frame is padding. */
static inline void edgernn_remember_NUMBER(NUMBER *ring, int32_t *position, uint16_t length, uint16_t size,
                                           const NUMBER *x, NUMBER fill) {
    NUMBER *const row = ring + (uint32_t)*position * size;
    if (x) {
        for (uint16_t k = 0; k < size; k++) row[k] = x[k];
    } else {
        for (uint16_t k = 0; k < size; k++) row[k] = fill;
    }
    *position = *position + 1 < length ? *position + 1 : 0;
}

/* Every `dilation`th frame of a ring, the oldest first. */
static inline void edgernn_recall_NUMBER(const NUMBER *ring, const int32_t *position, uint16_t length, uint16_t size,
                                         uint16_t taps, uint16_t dilation, NUMBER *y) {
    uint32_t frame = (uint32_t)*position;
    for (uint16_t tap = 0; tap < taps; tap++) {
        const NUMBER *const row = ring + frame * size;
        for (uint16_t k = 0; k < size; k++) *y++ = row[k];
        frame += dilation;
        if (frame >= length) frame -= length;
    }
}
