/* needs: rescale */
/* One element times a constant plus a constant. */
static inline int16_t edgernn_affine_int8(int16_t x, int32_t scale, int32_t B) {
    return (int16_t)edgernn_saturate16(edgernn_rescale(x, scale) + B);
}
