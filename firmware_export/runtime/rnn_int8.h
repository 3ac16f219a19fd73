/* needs: product gates_int8 */
/* Elman cell: h = f(W x + R h + B). Units come in fours, then alone; see edgernn_unit4 for the constants. `operand` has
 * room for input and state, each a multiple of four. */
static void edgernn_rnn_int8(const int16_t *x, uint16_t input_size, int16_t *h, uint16_t hidden_size,
                             const edgernn_rows *W, const edgernn_rows *R, const int32_t *constants,
                             edgernn_function f, int32_t clip, int16_t *y, int16_t *operand) {
    const int narrow = edgernn_are_narrow(W, input_size, R, hidden_size);
    edgernn_pair pair = edgernn_begin(W, R, narrow, constants, x, input_size, h, hidden_size, operand);
    uint16_t unit = 0;
    while (unit < hidden_size) {
        int32_t p[4];
        const uint16_t end = (uint16_t)(unit + (hidden_size - unit >= 4 ? 4 : 1));
        if (end - unit == 4) {
            edgernn_unit4(W, R, narrow, &pair, p);
        } else {
            edgernn_unit1(W, R, narrow, &pair, p);
        }
        for (uint8_t k = 0; unit < end; k++, unit++) y[unit] = h[unit] = (int16_t)f(edgernn_limit(p[k], clip));
    }
}
