/* needs: product gates_int8 */
/* Long short-term memory; see edgernn_unit4 for its constants. P, which may be NULL, holds the scales of the peepholes
 * i, o, f of each unit. c has `candidate_shift` fraction bits less than its candidate and `cell_shift` more than the
 * input of `output`. `operand` has room for input and state, each a multiple of four. */
static void edgernn_lstm_int8(const int16_t *x, uint16_t input_size, int16_t *h, int16_t *c, uint16_t hidden_size,
                              const edgernn_rows *W, const edgernn_rows *R, const int32_t *constants,
                              const int32_t *P, edgernn_function f, edgernn_function g, edgernn_function output,
                              int input_forget, int32_t clip, int8_t candidate_shift, int8_t cell_shift, int16_t *y,
                              int16_t *operand) {
    const int narrow = edgernn_are_narrow(W, input_size, R, hidden_size);
    edgernn_pair pair = edgernn_begin(W, R, narrow, constants, x, input_size, h, hidden_size, operand);
    for (uint16_t unit = 0; unit < hidden_size; unit++) {
        int32_t p[4];
        edgernn_unit4(W, R, narrow, &pair, p);
        if (P) {
            p[0] += edgernn_rescale(c[unit], edgernn_read_int32(P));
            p[2] += edgernn_rescale(c[unit], edgernn_read_int32(P + 2));
        }
        const int i = f(edgernn_limit(p[0], clip));
        const int forget = input_forget ? edgernn_saturate16((int32_t)32768 - i) : f(edgernn_limit(p[2], clip));
        const int candidate = g(edgernn_limit(p[3], clip));
        const int32_t gain = ((int32_t)i * candidate + ((int32_t)16384 << candidate_shift)) >> (15 + candidate_shift);
        c[unit] = (int16_t)edgernn_saturate16(edgernn_shift15((int32_t)forget * c[unit]) + gain);
        if (P) {
            p[1] += edgernn_rescale(c[unit], edgernn_read_int32(P + 1));
            P += 3;
        }
        const int o = f(edgernn_limit(p[1], clip));
        y[unit] = h[unit] = (int16_t)edgernn_shift15((int32_t)o * output(edgernn_cell_input(c[unit], cell_shift)));
    }
}
