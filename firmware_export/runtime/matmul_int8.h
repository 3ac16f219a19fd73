/* needs: product */
/* y (n, m) = a (n, k) times b (k, m), whose elements lie `down` and `across` apart. b is read in 8 bits, a in
 * `operand_bits`. */
static void edgernn_matmul_int8(const int16_t *a, const int16_t *b, uint16_t n, uint16_t k, uint16_t m, uint16_t down,
                                uint16_t across, int operand_bits, int32_t scale, int16_t *y) {
    for (uint16_t row = 0; row < n; row++) {
        for (uint16_t column = 0; column < m; column++) {
            const int16_t *from = b + (uint32_t)column * across;
            int32_t sum = 0;
            for (uint16_t i = 0; i < k; i++, from += down) {
                const int16_t left = operand_bits == 16 ? a[i] : edgernn_high_byte(a[i]);
                sum += (int32_t)left * edgernn_high_byte(*from);
            }
            *y++ = (int16_t)edgernn_saturate16(edgernn_rescale(sum, scale));
        }
        a += k;
    }
}
