/* needs: dot_float */
/* y = x W' + B. */
static void edgernn_dense_float(const float *x, uint16_t columns, const float *W, const float *B, uint16_t rows,
                                float *y) {
    for (uint16_t row = 0; row < rows; row++) {
        y[row] = edgernn_affine_float(W + (uint32_t)row * columns, x, columns, B, row);
    }
}
