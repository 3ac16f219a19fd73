/* needs: product */
/* y[o, g] = sum over i of W[o, i, g] x[i, g], rescaled, plus B[o, g]: one accumulator for each output of each group.
 * Weights lie as they are; constants are scale and bias of each y. */
static void edgernn_grouped_dense_int8(const int16_t *x, uint16_t columns, uint16_t groups, const edgernn_rows *W,
                                       const int32_t *constants, uint16_t rows, int16_t *y) {
    const int8_t *w = W->weights;
    for (uint16_t row = 0; row < rows; row++) {
        for (uint16_t group = 0; group < groups; group++) {
            const int16_t *from = x + group;
            const int8_t *weight = w + group;
            int32_t sum = 0;
            if (W->operand_bits == 16) {
                for (uint16_t column = 0; column < columns; column++, from += groups, weight += groups)
                    sum += (int32_t)edgernn_read_int8(weight) * *from;
            } else {
                for (uint16_t column = 0; column < columns; column++, from += groups, weight += groups)
                    sum += (int16_t)(edgernn_read_int8(weight) * edgernn_high_byte(*from));
            }
            sum = edgernn_rescale_sum(sum, edgernn_read_int32(constants)) + edgernn_read_int32(constants + 1);
            *y++ = (int16_t)edgernn_saturate16(sum);
            constants += 2;
        }
        w += (uint32_t)columns * groups;
    }
}
