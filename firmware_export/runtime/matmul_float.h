/* needs: platform */
/* y (rows, columns) = a (rows, inner) times b, of which the neighbours in a column lie `down` numbers apart, those in a
 * row `across`. */
static void edgernn_matmul_float(const float *a, const float *b, uint16_t rows, uint16_t inner, uint16_t columns,
                                 uint16_t down, uint16_t across, float *y) {
    for (uint16_t row = 0; row < rows; row++, a += inner) {
        for (uint16_t column = 0; column < columns; column++) {
            const float *other = b + (uint32_t)column * across;
            float sum = 0.0f;
            for (uint16_t k = 0; k < inner; k++, other += down) sum += a[k] * *other;
            *y++ = sum;
        }
    }
}
