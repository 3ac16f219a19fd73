/* needs: dot_float */
/* A sum of products that overflowed, of one column of weights and one of x, and a bias: as it should be. */
static float edgernn_grouped_again(const float *w, const float *x, uint16_t count, uint16_t groups, const float *B) {
    float sum = 0.0f;
    for (uint16_t k = 0; k < count; k++, w += groups, x += groups) {
        sum += (edgernn_read_float(w) * EDGERNN_SCALE) * (*x * EDGERNN_SCALE);
    }
    return edgernn_unscale(sum + edgernn_scaled_bias(B, 0));
}

/* y[o, g] = sum over i of W[o, i, g] x[i, g], plus B[o, g]. */
static void edgernn_grouped_dense_float(const float *x, uint16_t columns, uint16_t groups, const float *W,
                                        const float *B, uint16_t rows, float *y) {
    for (uint16_t row = 0; row < rows; row++) {
        const float *const weights = W;
        for (uint16_t group = 0; group < groups; group++) y[group] = 0.0f;
        for (uint16_t column = 0; column < columns; column++) {
            const float *const from = x + (uint32_t)column * groups;
            for (uint16_t group = 0; group < groups; group++) y[group] += edgernn_read_float(W++) * from[group];
        }
        for (uint16_t group = 0; group < groups; group++) {
            y[group] += edgernn_bias(B, group);
            if (edgernn_is_finite(y[group])) continue;
            y[group] = edgernn_grouped_again(weights + group, x + group, columns, groups, B ? B + group : B);
        }
        if (B) B += groups;
        y += groups;
    }
}
