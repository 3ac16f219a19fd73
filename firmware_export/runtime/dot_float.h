/* needs: platform saturate_float */
/* A row of weights times a vector. */
static inline float edgernn_dot(const float *w, const float *x, uint16_t count) {
    float sum = 0.0f;
    for (uint16_t k = 0; k < count; k++) sum += edgernn_read_float(w + k) * x[k];
    return sum;
}

/* An element of a bias, which may be absent. */
static inline float edgernn_bias(const float *B, uint16_t k) { return B ? edgernn_read_float(B + k) : 0.0f; }

/* Sums that overflow are summed up again of factors times 2^-76, so that 2^16 products stay below 2^120. */
#define EDGERNN_SCALE 1.32348898e-23f
#define EDGERNN_UNSCALE 7.55578637e22f

static float edgernn_scaled_dot(const float *w, const float *x, uint16_t count) {
    float sum = 0.0f;
    for (uint16_t k = 0; k < count; k++) sum += (edgernn_read_float(w + k) * EDGERNN_SCALE) * (x[k] * EDGERNN_SCALE);
    return sum;
}

static inline float edgernn_scaled_bias(const float *B, uint16_t k) {
    return edgernn_bias(B, k) * EDGERNN_SCALE * EDGERNN_SCALE;
}

static inline float edgernn_unscale(float sum) {
    return edgernn_saturate(edgernn_saturate(sum * EDGERNN_UNSCALE) * EDGERNN_UNSCALE);
}

/* A row of weights times a vector plus its bias. */
static inline float edgernn_affine_float(const float *w, const float *x, uint16_t count, const float *B, uint16_t row) {
    const float sum = edgernn_dot(w, x, count) + edgernn_bias(B, row);
    if (edgernn_is_finite(sum)) return sum;
    return edgernn_unscale(edgernn_scaled_dot(w, x, count) + edgernn_scaled_bias(B, row));
}
