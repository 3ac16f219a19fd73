/* needs: platform fine_sigmoid_table */
/* Gates of slow states. */

/* Q3.12 of 17 bits to Q0.30: small values keep their digits. */
static inline int32_t edgernn_fine_sigmoid(int32_t x) {
    int32_t magnitude = x < 0 ? -x : x;
    if (magnitude > 65535) magnitude = 65535;
    const int32_t *const entry = edgernn_fine_sigmoid_table + (magnitude >> 8);
    const int32_t from = edgernn_read_int32(entry), to = edgernn_read_int32(entry + 1);
    const int32_t fraction = ((magnitude & 255) + 1) >> 1; /* with 8 bits the product would not fit */
    const int32_t y = from + (((to - from) * fraction + 64) >> 7);
    return x < 0 ? y : ((int32_t)1 << 30) - y;
}

/* A gate's input, clipped and limited to 17 bits. */
static inline int32_t edgernn_fine_limit(int32_t p, int32_t clip) {
    const int32_t most = clip < 65535 ? clip : 65535, least = clip < 65536 ? -clip : -65536;
    return p > most ? most : p < least ? least : p;
}

/* floor(x * fine / 2^15) of a 17-bit x: both halves of `fine` have 15 bits, so both products fit into 32. */
static inline int32_t edgernn_multiply_fine(int32_t x, int32_t fine) {
    return x * (fine >> 15) + ((x * (fine & 32767)) >> 15);
}
