/* needs: platform */
/* A row of weights times a vector. */
static inline float edgernn_dot(const float *w, const float *x, uint16_t count) {
    float sum = 0.0f;
    for (uint16_t k = 0; k < count; k++) sum += edgernn_read_float(w + k) * x[k];
    return sum;
}

/* An element of a bias, which may be absent. */
static inline float edgernn_bias(const float *B, uint16_t k) { return B ? edgernn_read_float(B + k) : 0.0f; }
