/* needs: rescale panels panels_avr */
/* Rescaled products of panels, for the layers and cells. */

/* An int16 rounded to its high byte. */
static inline int8_t edgernn_high_byte(int16_t x) {
#if defined(__AVR__)
    int8_t high = (int8_t)(x >> 8);
    uint8_t low = (uint8_t)x;
    __asm__("lsl %[low]\n"
            "adc %[high], __zero_reg__\n"
            "brvc 1f\n"
            "dec %[high]\n"
            "1:"
            : [high] "+r"(high), [low] "+r"(low));
    return high;
#else
    const int32_t high = ((int32_t)x + 128) >> 8;
    return (int8_t)(high > 127 ? 127 : high);
#endif
}

/* Whether products go the narrow way, on AVR: their operands are then bytes. */
static inline int edgernn_is_narrow(const edgernn_rows *matrix, uint16_t blocks) {
#if defined(__AVR__)
    return matrix->operand_bits == 8 && blocks <= EDGERNN_NARROW_BLOCKS;
#else
    (void)matrix, (void)blocks;
    return 0;
#endif
}

/* What becomes of a panel's sums; half->w moves to the next panel. Set: p are the rescaled sums plus biases, constants
 * are scale and bias of each row. Add: the rescaled sums are added to p, constants are scales. The rows of a GRU: two
 * are added, the third is set. */
#define EDGERNN_FUNCTION(name)                                                                     \
    EDGERNN_INLINE void edgernn_##name(const edgernn_rows *matrix, int narrow, edgernn_half *half, \
                                       const int32_t *constants, int32_t *p)
#if defined(__AVR__)
#define EDGERNN_PANEL(name, rows, code)                              \
    EDGERNN_FUNCTION(name) {                                         \
        (void)matrix;                                                \
        if (narrow) {                                                \
            EDGERNN_CALL(edgernn_narrow_##name, half, constants, p); \
        } else {                                                     \
            EDGERNN_CALL(edgernn_wide_##name, half, constants, p);   \
        }                                                            \
    }
#else
/* The sum of a row, rescaled. */
static inline int32_t edgernn_scaled(const edgernn_rows *rows, int32_t sum, const int32_t *scale) {
    const int32_t word = edgernn_read_int32(scale);
    if (rows->small_shifts > 1) return edgernn_rescale_sum(sum, word);
    return rows->small_shifts ? edgernn_rescale(sum, word) : edgernn_rescale_down(sum, word);
}

/* The code is written out for each row: compilers leave a loop one, and its numbers in memory. */
#define EDGERNN_PANEL(name, rows, code)                                     \
    EDGERNN_FUNCTION(name) {                                                \
        int32_t sum[rows];                                                  \
        (void)narrow;                                                       \
        half->w = edgernn_panel##rows(half->w, half->x, half->blocks, sum); \
        code                                                                \
    }
#endif
#define EDGERNN_SET(row, at) \
    p[row] = edgernn_scaled(matrix, sum[row], constants + (at)) + edgernn_read_int32(constants + (at) + 1);
#define EDGERNN_ADD(row) p[row] += edgernn_scaled(matrix, sum[row], constants + (row));
EDGERNN_PANEL(set4, 4, EDGERNN_SET(0, 0) EDGERNN_SET(1, 2) EDGERNN_SET(2, 4) EDGERNN_SET(3, 6))
EDGERNN_PANEL(set3, 3, EDGERNN_SET(0, 0) EDGERNN_SET(1, 2) EDGERNN_SET(2, 4))
EDGERNN_PANEL(set1, 1, EDGERNN_SET(0, 0))
EDGERNN_PANEL(add4, 4, EDGERNN_ADD(0) EDGERNN_ADD(1) EDGERNN_ADD(2) EDGERNN_ADD(3))
EDGERNN_PANEL(add1, 1, EDGERNN_ADD(0))
EDGERNN_PANEL(gru3, 3, EDGERNN_ADD(0) EDGERNN_ADD(1) EDGERNN_SET(2, 2))

/* The operand of a product: `count` values, rounded to bytes or not, filled up with zeros to a multiple of four. */
static inline edgernn_half edgernn_load(const edgernn_rows *matrix, int narrow, const int16_t *x, uint16_t count,
                                        int16_t *operand) {
    const edgernn_half half = {matrix->weights, operand, edgernn_blocks(count)};
    uint16_t k = 0;
    if (narrow) {
        int8_t *const bytes = (int8_t *)operand;
        for (; k < count; k++) bytes[k] = edgernn_high_byte(x[k]);
        for (; k & 3u; k++) bytes[k] = 0;
        return half;
    }
    for (; k < count; k++) operand[edgernn_place(k)] = matrix->operand_bits == 16 ? x[k] : edgernn_high_byte(x[k]);
    for (; k & 3u; k++) operand[edgernn_place(k)] = 0;
    return half;
}

/* Whether both products of a cell go the narrow way. */
static inline int edgernn_are_narrow(const edgernn_rows *W, uint16_t input_size, const edgernn_rows *R,
                                     uint16_t hidden_size) {
    return edgernn_is_narrow(W, edgernn_blocks(input_size)) && edgernn_is_narrow(R, edgernn_blocks(hidden_size));
}

/* Begins a step of a cell. `operand` has room for input and state, each a multiple of four. */
static inline edgernn_pair edgernn_begin(const edgernn_rows *W, const edgernn_rows *R, int narrow,
                                         const int32_t *constants, const int16_t *x, uint16_t input_size,
                                         const int16_t *h, uint16_t hidden_size, int16_t *operand) {
    edgernn_pair pair;
    pair.input = edgernn_load(W, narrow, x, input_size, operand);
    pair.state = edgernn_load(R, narrow, h, hidden_size, operand + 4u * edgernn_blocks(input_size));
    pair.constants = constants;
    return pair;
}

/* Gate inputs of the next unit of a GRU: h of W, z, r, h of R. Panels hold h z r of W and z r h of R; constants are
 * scale and bias of each row of W, scales of z and r of R, scale and bias of h of R. */
EDGERNN_INLINE void edgernn_unit3(const edgernn_rows *W, const edgernn_rows *R, int narrow, edgernn_pair *pair,
                                  int32_t p[4]) {
    edgernn_set3(W, narrow, &pair->input, pair->constants, p);
    edgernn_gru3(R, narrow, &pair->state, pair->constants + 6, p + 1);
    pair->constants += 10;
}

/* Gate inputs of the next unit of an LSTM, i o f c, or of the next four units of an Elman cell. Constants are scale and
 * bias of each row of W, then the scales of R. */
EDGERNN_INLINE void edgernn_unit4(const edgernn_rows *W, const edgernn_rows *R, int narrow, edgernn_pair *pair,
                                  int32_t p[4]) {
    edgernn_set4(W, narrow, &pair->input, pair->constants, p);
    edgernn_add4(R, narrow, &pair->state, pair->constants + 8, p);
    pair->constants += 12;
}

/* The same for one row of each matrix. */
EDGERNN_INLINE void edgernn_unit1(const edgernn_rows *W, const edgernn_rows *R, int narrow, edgernn_pair *pair,
                                  int32_t p[1]) {
    edgernn_set1(W, narrow, &pair->input, pair->constants, p);
    edgernn_add1(R, narrow, &pair->state, pair->constants + 2, p);
    pair->constants += 3;
}
