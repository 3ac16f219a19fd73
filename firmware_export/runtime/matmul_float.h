/* needs: dot_float */
/* A row of a times a column of b that overflowed: as it should be. */
static float edgernn_matmul_again(const float *a, const float *b, uint16_t inner, uint16_t down) {
    float sum = 0.0f;
    for (uint16_t k = 0; k < inner; k++, b += down) sum += (a[k] * EDGERNN_SCALE) * (*b * EDGERNN_SCALE);
    return edgernn_unscale(sum);
}

/* y (rows, columns) = a (rows, inner) times b, of which the neighbours in a column lie `down` numbers apart, those in a
 * row `across`. */
static void edgernn_matmul_float(const float *a, const float *b, uint16_t rows, uint16_t inner, uint16_t columns,
                                 uint16_t down, uint16_t across, float *y) {
    for (uint16_t row = 0; row < rows; row++, a += inner) {
        for (uint16_t column = 0; column < columns; column++) {
            const float *const begin = b + (uint32_t)column * across, *other = begin;
            float sum = 0.0f;
            for (uint16_t k = 0; k < inner; k++, other += down) sum += a[k] * *other;
            *y++ = edgernn_is_finite(sum) ? sum : edgernn_matmul_again(a, begin, inner, down);
        }
    }
}
