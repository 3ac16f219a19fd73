static void edgernn_dequantize(const int16_t *x, uint32_t count, float scale, float *y) {
    for (uint32_t k = 0; k < count; k++) y[k] = (float)x[k] * scale;
}
