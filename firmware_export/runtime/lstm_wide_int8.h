/* needs: product gates_int8 fine_sigmoid_int8 */
static inline int32_t edgernn_add_saturating(int32_t a, int32_t b) {
    if (b > 0 && a > INT32_MAX - b) return INT32_MAX;
    if (b < 0 && a < INT32_MIN - b) return INT32_MIN;
    return a + b;
}

/* The long short-term memory of lstm_int8 with an int32 cell: slow units keep 16 more fraction bits. */
static void edgernn_lstm_wide_int8(const int16_t *x, uint16_t input_size, int16_t *h, int32_t *c,
                                   uint16_t hidden_size, const edgernn_rows *W, const edgernn_rows *R,
                                   const int32_t *constants, const int32_t *P, edgernn_function f,
                                   edgernn_function g, edgernn_function output, int input_forget, int32_t clip,
                                   int8_t candidate_shift, int8_t cell_shift, int16_t *y, int16_t *operand) {
    const int narrow = edgernn_are_narrow(W, input_size, R, hidden_size);
    edgernn_pair pair = edgernn_begin(W, R, narrow, constants, x, input_size, h, hidden_size, operand);
    for (uint16_t unit = 0; unit < hidden_size; unit++) {
        int32_t p[4];
        edgernn_unit4(W, R, narrow, &pair, p);
        const int old = (int16_t)(c[unit] >> 16);
        if (P) {
            p[0] += edgernn_rescale(old, edgernn_read_int32(P));
            p[2] += edgernn_rescale(old, edgernn_read_int32(P + 2));
        }
        const int candidate = g(edgernn_limit(p[3], clip));
        const int32_t i = edgernn_fine_sigmoid(edgernn_fine_limit(p[0], clip));
        const int32_t decay = input_forget ? i : edgernn_fine_sigmoid(-edgernn_fine_limit(p[2], clip));
        const int32_t loss = edgernn_multiply_fine(old, decay);
        int32_t gain = 2 * edgernn_multiply_fine(candidate, i);
        if (candidate_shift) gain = ((gain >> (candidate_shift - 1)) + 1) >> 1;
        c[unit] = edgernn_add_saturating(c[unit] - loss - loss, gain);
        const int cell = (int16_t)(c[unit] >> 16);
        if (P) {
            p[1] += edgernn_rescale(cell, edgernn_read_int32(P + 1));
            P += 3;
        }
        const int o = f(edgernn_limit(p[1], clip));
        y[unit] = h[unit] = (int16_t)edgernn_shift15((int32_t)o * output(edgernn_cell_input(cell, cell_shift)));
    }
}
