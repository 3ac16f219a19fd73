/* needs: platform */
/* y[o, g] = sum over i of W[o, i, g] x[i, g], plus B[o, g]. */
static void edgernn_grouped_dense_float(const float *x, uint16_t columns, uint16_t groups, const float *W,
                                        const float *B, uint16_t rows, float *y) {
    for (uint16_t row = 0; row < rows; row++) {
        for (uint16_t group = 0; group < groups; group++) y[group] = 0.0f;
        for (uint16_t column = 0; column < columns; column++) {
            const float *const from = x + (uint32_t)column * groups;
            for (uint16_t group = 0; group < groups; group++) y[group] += edgernn_read_float(W++) * from[group];
        }
        if (B) {
            for (uint16_t group = 0; group < groups; group++) y[group] += edgernn_read_float(B++);
        }
        y += groups;
    }
}
