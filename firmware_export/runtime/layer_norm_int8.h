/* needs: rescale */
/* The largest integer whose square is at most x. */
static uint32_t edgernn_square_root(uint64_t x) {
    uint64_t root = 0, bit = (uint64_t)1 << 62;
    while (bit > x) bit >>= 2;
    for (; bit; bit >>= 2) {
        if (x >= root + bit) {
            x -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return (uint32_t)root;
}

/* (x - mean) / deviation of `count` values with `norm_bits` fraction bits, then scale and bias of each: constants.
 * If not `centred` the mean is taken for 0. */
static void edgernn_layer_norm_int8(const int16_t *x, uint16_t count, uint64_t epsilon, uint8_t norm_bits,
                                    uint8_t centred, const int32_t *constants, int16_t *y) {
    int32_t total = 0;
    uint64_t squares = 0;
    for (uint16_t k = 0; k < count; k++) {
        total += x[k];
        squares += (uint32_t)((int32_t)x[k] * x[k]);
    }
    if (!centred) total = 0;
    const uint32_t magnitude = (uint32_t)(total < 0 ? -total : total);
    uint32_t root = edgernn_square_root(squares * count - (uint64_t)magnitude * magnitude + epsilon);
    uint8_t bits = 0;
    if (root == 0) root = 1;
    while (bits < 32 && root >> bits) bits++;
    const uint32_t divisor = bits >= 16 ? root >> (bits - 16) : root << (16 - bits);
    uint32_t reciprocal = (((uint32_t)1 << 30) + (divisor >> 1)) / divisor;
    if (reciprocal > 32767u) reciprocal = 32767u;
    const int8_t shift = (int8_t)(14 + bits - norm_bits - 17);
    const int32_t scale = (int32_t)((reciprocal << 16) | (uint8_t)shift);
    for (uint16_t k = 0; k < count; k++) {
        const int normal = edgernn_saturate16(edgernn_rescale((int32_t)count * x[k] - total, scale));
        const int32_t bias = edgernn_read_int32(constants + 1);
        const int32_t result = edgernn_rescale(normal, edgernn_read_int32(constants)) + bias;
        y[k] = (int16_t)edgernn_saturate16(result);
        constants += 2;
    }
}
