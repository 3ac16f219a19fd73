/* needs: platform */
/* Accumulators of matrix products: int8 weights times int16 operands, or times int8 roundings of them.
 *
 * Rows come in panels of four, three or one. A panel holds, for each four columns, four bytes of every row, in the
 * order of columns 0 2 1 3: so two of them can be widened to 16 bits in one instruction on Cortex-M4. The number of
 * columns is a multiple of four, `blocks` counts fours; weights that fill up are zero. */

typedef struct {
    const int8_t *weights;
    int operand_bits; /* 16, or 8: operands are rounded to int8 */
    int small_shifts; /* 1: some row is shifted by less than 17; 2: and its sum may have to be limited */
} edgernn_rows;

/* One matrix during a step: weights of the next panel, operand, blocks of four columns. */
typedef struct {
    const int8_t *w;
    const int16_t *x;
    uint16_t blocks;
} edgernn_half;

/* Both matrices of a cell during a step. */
typedef struct {
    edgernn_half input, state;
    const int32_t *constants; /* of the next unit */
} edgernn_pair;

static inline uint16_t edgernn_blocks(uint16_t columns) { return (uint16_t)((columns + 3u) / 4u); }

/* Clang 14 has no name for the predicates of Helium. */
#if defined(__ARM_FEATURE_MVE) && !defined(__clang__)
#define EDGERNN_HELIUM 1
#else
#define EDGERNN_HELIUM 0
#endif

/* Where column k of an operand lies: as in the weights where both are read as vectors. */
static inline uint16_t edgernn_place(uint16_t k) {
#if EDGERNN_HELIUM
    return (uint16_t)((k & ~3u) | (k & 1u) << 1 | (k >> 1 & 1u));
#else
    return k;
#endif
}
