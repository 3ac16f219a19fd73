/* needs: rescale */
/* The sum over the middle axis of x (outer, count, inner), rescaled. */
static inline void edgernn_reduce_sum_int8(const int16_t *x, uint16_t outer, uint16_t count, uint16_t inner,
                                          int32_t scale, int16_t *y) {
    for (uint16_t block = 0; block < outer; block++) {
        for (uint16_t k = 0; k < inner; k++) {
            const int16_t *from = x + k;
            int32_t sum = 0;
            for (uint16_t i = 0; i < count; i++, from += inner) sum += *from;
            *y++ = (int16_t)edgernn_saturate16(edgernn_rescale(sum, scale));
        }
        x += (uint32_t)count * inner;
    }
}

/* The largest over the middle axis, or the smallest. */
static inline void edgernn_reduce_most_int8(const int16_t *x, uint16_t outer, uint16_t count, uint16_t inner,
                                           int smallest, int16_t *y) {
    for (uint16_t block = 0; block < outer; block++) {
        for (uint16_t k = 0; k < inner; k++) {
            const int16_t *from = x + k;
            int16_t best = *from;
            for (uint16_t i = 1; i < count; i++) {
                from += inner;
                if (smallest ? *from < best : *from > best) best = *from;
            }
            *y++ = best;
        }
        x += (uint32_t)count * inner;
    }
}
