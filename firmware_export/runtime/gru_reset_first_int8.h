/* needs: product gates_int8 fine_sigmoid_int8 */
/* Gated recurrent unit, the reset gate before the product. Panels are single rows: r of each unit, then z and h of each
 * unit; see edgernn_unit1 for the constants. The state is int16, or int32 if it is `wide`: slow units need 16 more
 * fraction bits. `operand` has room for the input and twice the state, each a multiple of four. */
static void edgernn_gru_reset_first_int8(const int16_t *x, uint16_t input_size, void *state, int wide,
                                         uint16_t hidden_size, const edgernn_rows *W, const edgernn_rows *R,
                                         const int32_t *constants, edgernn_function f, edgernn_function g, int32_t clip,
                                         int16_t *y, int16_t *operand) {
    int16_t *const h = (int16_t *)state;
    int32_t *const wide_h = (int32_t *)state;
    for (uint16_t unit = 0; unit < hidden_size; unit++) y[unit] = wide ? (int16_t)(wide_h[unit] >> 16) : h[unit];
    const int narrow = edgernn_are_narrow(W, input_size, R, hidden_size);
    edgernn_pair pair = edgernn_begin(W, R, narrow, constants, x, input_size, y, hidden_size, operand);
    for (uint16_t unit = 0; unit < hidden_size; unit++) {
        int32_t p;
        edgernn_unit1(W, R, narrow, &pair, &p);
        y[unit] = (int16_t)edgernn_shift15((int32_t)f(edgernn_limit(p, clip)) * y[unit]);
    }
    const int16_t *const h_operand = pair.state.x;
    int16_t *const reset_operand = operand + 4u * (edgernn_blocks(input_size) + edgernn_blocks(hidden_size));
    const int8_t *const next = pair.state.w;
    pair.state = edgernn_load(R, narrow, y, hidden_size, reset_operand);
    pair.state.w = next;
    for (uint16_t unit = 0; unit < hidden_size; unit++) {
        int32_t p_z, p_n;
        pair.state.x = h_operand;
        edgernn_unit1(W, R, narrow, &pair, &p_z);
        pair.state.x = reset_operand;
        edgernn_unit1(W, R, narrow, &pair, &p_n);
        const int n = g(edgernn_limit(p_n, clip));
        if (wide) {
            const int32_t way = edgernn_fine_sigmoid(-edgernn_fine_limit(p_z, clip));
            const int32_t step = edgernn_multiply_fine((int32_t)n - (int16_t)(wide_h[unit] >> 16), way);
            wide_h[unit] = wide_h[unit] + step + step;
            y[unit] = (int16_t)(wide_h[unit] >> 16);
        } else {
            const int z = f(edgernn_limit(p_z, clip));
            y[unit] = h[unit] = edgernn_blend(h[unit], n, z);
        }
    }
}
