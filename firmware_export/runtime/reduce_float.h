/* needs: joins_float */
/* Joins `count` numbers of x (outer, count, inner), each times `factor`; y (outer, inner) is divided by `divisor`. The
 * factor of a mean is a power of two: what is no larger than 1 / count of a number never overflows. */
static void edgernn_reduce_float(const float *x, uint16_t outer, uint16_t count, uint16_t inner,
                                 edgernn_float_join join, float factor, float divisor, float *y) {
    for (uint16_t row = 0; row < outer; row++, x += (uint32_t)count * inner) {
        for (uint16_t column = 0; column < inner; column++) {
            const float *from = x + column;
            float joined = *from * factor;
            for (uint16_t k = 1; k < count; k++) joined = join(joined, *(from += inner) * factor);
            *y++ = edgernn_overflow(joined / divisor, joined, joined);
        }
    }
}
