/* needs: rescale limit64 */
#define EDGERNN_LARGEST_COUNT ((int64_t)1 << 40)

/* a / b for b > 0, rounded down; in 32 bits where that is enough. The result fits them. */
static inline int32_t edgernn_floor_divide(int64_t a, int64_t b) {
    if (a >= -2147483647 && a <= 2147483647 && b <= 2147483647) {
        const int32_t quotient = (int32_t)a / (int32_t)b;
        return (int32_t)a % (int32_t)b < 0 ? quotient - 1 : quotient;
    }
    const int64_t quotient = a / b;
    return (int32_t)(a % b < 0 ? quotient - 1 : quotient);
}

/* The mean of all x so far, with `bits` more fraction bits than x. */
static inline void edgernn_running_mean_int8(const int16_t *x, uint16_t size, int64_t *total, int64_t *count,
                                             uint8_t bits, int16_t *y) {
    const int64_t largest = (int64_t)1 << 55;
    int64_t frames = edgernn_limit64(*count, 0, EDGERNN_LARGEST_COUNT);
    const uint8_t halve = frames == EDGERNN_LARGEST_COUNT;
    frames = (frames >> halve) + 1;
    *count = frames;
    for (uint16_t k = 0; k < size; k++) {
        total[k] = edgernn_limit64(edgernn_limit64(total[k] >> halve, -largest, largest) + x[k], -largest, largest);
        y[k] = (int16_t)edgernn_saturate16(
            edgernn_floor_divide(total[k] * ((int32_t)1 << bits) + (frames >> 1), frames));
    }
}

/* The sum of all x so far, shifted right by `shift`, then rescaled. */
static inline void edgernn_running_sum_int8(const int16_t *x, uint16_t size, int64_t *total, int64_t *count,
                                            uint8_t shift, int32_t scale, int16_t *y) {
    const int64_t largest = (int64_t)1 << 62;
    *count = edgernn_limit64(*count, 0, EDGERNN_LARGEST_COUNT - 1) + 1;
    for (uint16_t k = 0; k < size; k++) {
        total[k] = edgernn_limit64(edgernn_limit64(total[k], -largest, largest) + x[k], -largest, largest);
        const int64_t shifted = total[k] >> shift;
        const int32_t limited = shifted > 1073741823    ? 1073741823
                                : shifted < -1073741824 ? -1073741824
                                                        : (int32_t)shifted;
        y[k] = (int16_t)edgernn_saturate16(edgernn_rescale(limited, scale));
    }
}

/* The largest of all x so far, or the smallest. */
static inline void edgernn_running_most_int8(const int16_t *x, uint16_t size, int16_t *total, int64_t *count,
                                             int smallest, int16_t *y) {
    *count = edgernn_limit64(*count, 0, EDGERNN_LARGEST_COUNT - 1) + 1;
    for (uint16_t k = 0; k < size; k++) {
        if (smallest ? x[k] < total[k] : x[k] > total[k]) total[k] = x[k];
        y[k] = total[k];
    }
}
