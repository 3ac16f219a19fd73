/* needs: joins_float */
/* Joins `count` numbers of x (outer, count, inner); y (outer, inner) is divided by `divisor`. */
static void edgernn_reduce_float(const float *x, uint16_t outer, uint16_t count, uint16_t inner,
                                 edgernn_float_join join, float divisor, float *y) {
    for (uint16_t row = 0; row < outer; row++, x += (uint32_t)count * inner) {
        for (uint16_t column = 0; column < inner; column++) {
            const float *from = x + column;
            float joined = *from;
            for (uint16_t k = 1; k < count; k++) joined = join(joined, *(from += inner));
            *y++ = joined / divisor;
        }
    }
}
