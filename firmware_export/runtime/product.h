/* needs: platform rescale */
/* Accumulators of matrix products: int8 weights times int16 operands, or times int8 roundings of them.
 *
 * Rows come in panels of four, three or one. A panel holds, for each four columns, four bytes of every row, in the
 * order of columns 0 2 1 3: so two of them can be widened to 16 bits in one instruction on Cortex-M4. The number of
 * columns is a multiple of four, `blocks` counts fours; weights that fill up are zero. */

typedef struct {
    const int8_t *weights;
    int operand_bits; /* 16, or 8: operands are rounded to int8 */
    int small_shifts; /* some row is shifted by less than 17 */
} edgernn_rows;

/* The sum of a row, rescaled. */
static inline int32_t edgernn_scaled(const edgernn_rows *rows, int32_t sum, int32_t scale) {
    return rows->small_shifts ? edgernn_rescale(sum, scale) : edgernn_rescale_down(sum, scale);
}

/* Copies the biases that a panel of four rows begins with. */
static inline void edgernn_take4(const int32_t *constants, int32_t p[4]) {
    p[0] = edgernn_read_int32(constants);
    p[1] = edgernn_read_int32(constants + 1);
    p[2] = edgernn_read_int32(constants + 2);
    p[3] = edgernn_read_int32(constants + 3);
}

static inline uint16_t edgernn_blocks(uint16_t columns) { return (uint16_t)((columns + 3u) / 4u); }

/* An int16 rounded to its high byte. */
static inline int8_t edgernn_high_byte(int16_t x) {
    const int16_t high = (int16_t)((x >> 8) + ((x & 0x80) != 0)); /* (x + 128) >> 8 within 16 bits */
    return (int8_t)(high > 127 ? 127 : high);
}

#if defined(__ARM_FEATURE_SIMD32) && defined(__thumb2__)
/* Two products in one instruction; weights are loaded in words and widened in pairs. */
#define EDGERNN_ROW(word, sum)                   \
    "sxtb16 %[pair], " word "\n"                 \
    "sxtb16 " word ", " word ", ror #8\n"        \
    "smlad " sum ", %[pair], %[x01], " sum "\n"  \
    "smlad " sum ", " word ", %[x23], " sum "\n"

static inline const int8_t *edgernn_panel4(const int8_t *w, const int16_t *x, uint16_t blocks, int32_t sum[4]) {
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    int32_t x01, x23, w0, w1, pair;
    const int16_t *const end = x + 4u * blocks;
    __asm__ volatile("1: ldrd %[x01], %[x23], [%[x]], #8\n"
                     "ldrd %[w0], %[w1], [%[w]], #8\n"
                     EDGERNN_ROW("%[w0]", "%[s0]") EDGERNN_ROW("%[w1]", "%[s1]")
                     "ldrd %[w0], %[w1], [%[w]], #8\n"
                     EDGERNN_ROW("%[w0]", "%[s2]") EDGERNN_ROW("%[w1]", "%[s3]")
                     "cmp %[x], %[end]\n"
                     "bne 1b\n"
                     : [w] "+&r"(w), [x] "+&r"(x), [s0] "+&r"(s0), [s1] "+&r"(s1), [s2] "+&r"(s2), [s3] "+&r"(s3),
                       [x01] "=&r"(x01), [x23] "=&r"(x23), [w0] "=&r"(w0), [w1] "=&r"(w1), [pair] "=&r"(pair)
                     : [end] "r"(end)
                     : "cc", "memory");
    sum[0] = s0;
    sum[1] = s1;
    sum[2] = s2;
    sum[3] = s3;
    return w;
}

static inline const int8_t *edgernn_panel3(const int8_t *w, const int16_t *x, uint16_t blocks, int32_t sum[3]) {
    int32_t s0 = 0, s1 = 0, s2 = 0;
    int32_t x01, x23, w0, w1, pair;
    const int16_t *const end = x + 4u * blocks;
    __asm__ volatile("1: ldrd %[x01], %[x23], [%[x]], #8\n"
                     "ldrd %[w0], %[w1], [%[w]], #8\n"
                     EDGERNN_ROW("%[w0]", "%[s0]") EDGERNN_ROW("%[w1]", "%[s1]")
                     "ldr %[w0], [%[w]], #4\n"
                     EDGERNN_ROW("%[w0]", "%[s2]")
                     "cmp %[x], %[end]\n"
                     "bne 1b\n"
                     : [w] "+&r"(w), [x] "+&r"(x), [s0] "+&r"(s0), [s1] "+&r"(s1), [s2] "+&r"(s2),
                       [x01] "=&r"(x01), [x23] "=&r"(x23), [w0] "=&r"(w0), [w1] "=&r"(w1), [pair] "=&r"(pair)
                     : [end] "r"(end)
                     : "cc", "memory");
    sum[0] = s0;
    sum[1] = s1;
    sum[2] = s2;
    return w;
}

static inline const int8_t *edgernn_panel1(const int8_t *w, const int16_t *x, uint16_t blocks, int32_t sum[1]) {
    int32_t s0 = 0;
    int32_t x01, x23, w0, pair;
    const int16_t *const end = x + 4u * blocks;
    __asm__ volatile("1: ldrd %[x01], %[x23], [%[x]], #8\n"
                     "ldr %[w0], [%[w]], #4\n"
                     EDGERNN_ROW("%[w0]", "%[s0]")
                     "cmp %[x], %[end]\n"
                     "bne 1b\n"
                     : [w] "+&r"(w), [x] "+&r"(x), [s0] "+&r"(s0),
                       [x01] "=&r"(x01), [x23] "=&r"(x23), [w0] "=&r"(w0), [pair] "=&r"(pair)
                     : [end] "r"(end)
                     : "cc", "memory");
    sum[0] = s0;
    return w;
}

#elif defined(__ARM_ARCH_6M__)
/* Cortex-M0 has eight registers to compute in, loads signed bytes slowly, and adds to all sixteen: words are taken apart by
 * shifts, two columns at a time, and sums are kept above. */
#define EDGERNN_PAIR(offset)                    \
    "ldr %[right], [%[x], #" offset "]\n"       \
    "sxth %[left], %[right]\n"                  \
    "asrs %[right], %[right], #16\n"
#define EDGERNN_FIRST(offset, sum)              \
    "ldr %[word], [%[w], #" offset "]\n"        \
    "sxtb %[part], %[word]\n"                   \
    "muls %[part], %[left]\n"                   \
    "add " sum ", %[part]\n"                    \
    "lsls %[word], %[word], #8\n"               \
    "asrs %[word], %[word], #24\n"              \
    "muls %[word], %[right]\n"                  \
    "add " sum ", %[word]\n"
#define EDGERNN_SECOND(offset, sum)             \
    "ldr %[word], [%[w], #" offset "]\n"        \
    "lsls %[part], %[word], #16\n"              \
    "asrs %[part], %[part], #24\n"              \
    "muls %[part], %[left]\n"                   \
    "add " sum ", %[part]\n"                    \
    "asrs %[word], %[word], #24\n"              \
    "muls %[word], %[right]\n"                  \
    "add " sum ", %[word]\n"

static inline const int8_t *edgernn_panel4(const int8_t *w, const int16_t *x, uint16_t blocks, int32_t sum[4]) {
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    int32_t left, right, word, part;
    const int16_t *const end = x + 4u * blocks;
    __asm__ volatile(".syntax unified\n"
                     "1:\n" EDGERNN_PAIR("0")
                     EDGERNN_FIRST("0", "%[s0]")
                     EDGERNN_FIRST("4", "%[s1]")
                     EDGERNN_FIRST("8", "%[s2]")
                     EDGERNN_FIRST("12", "%[s3]")
                     EDGERNN_PAIR("4")
                     EDGERNN_SECOND("0", "%[s0]")
                     EDGERNN_SECOND("4", "%[s1]")
                     EDGERNN_SECOND("8", "%[s2]")
                     EDGERNN_SECOND("12", "%[s3]")
                     "adds %[w], #16\n"
                     "adds %[x], #8\n"
                     "cmp %[x], %[end]\n"
                     "bne 1b\n"
                     : [w] "+l"(w), [x] "+l"(x), [left] "=&l"(left), [right] "=&l"(right), [word] "=&l"(word),
                       [part] "=&l"(part), [s0] "+h"(s0), [s1] "+h"(s1), [s2] "+h"(s2), [s3] "+h"(s3)
                     : [end] "h"(end)
                     : "cc", "memory");
    sum[0] = s0;
    sum[1] = s1;
    sum[2] = s2;
    sum[3] = s3;
    return w;
}

static inline const int8_t *edgernn_panel3(const int8_t *w, const int16_t *x, uint16_t blocks, int32_t sum[3]) {
    int32_t s0 = 0, s1 = 0, s2 = 0;
    int32_t left, right, word, part;
    const int16_t *const end = x + 4u * blocks;
    __asm__ volatile(".syntax unified\n"
                     "1:\n" EDGERNN_PAIR("0")
                     EDGERNN_FIRST("0", "%[s0]")
                     EDGERNN_FIRST("4", "%[s1]")
                     EDGERNN_FIRST("8", "%[s2]")
                     EDGERNN_PAIR("4")
                     EDGERNN_SECOND("0", "%[s0]")
                     EDGERNN_SECOND("4", "%[s1]")
                     EDGERNN_SECOND("8", "%[s2]")
                     "adds %[w], #12\n"
                     "adds %[x], #8\n"
                     "cmp %[x], %[end]\n"
                     "bne 1b\n"
                     : [w] "+l"(w), [x] "+l"(x), [left] "=&l"(left), [right] "=&l"(right), [word] "=&l"(word),
                       [part] "=&l"(part), [s0] "+h"(s0), [s1] "+h"(s1), [s2] "+h"(s2)
                     : [end] "h"(end)
                     : "cc", "memory");
    sum[0] = s0;
    sum[1] = s1;
    sum[2] = s2;
    return w;
}

static inline const int8_t *edgernn_panel1(const int8_t *w, const int16_t *x, uint16_t blocks, int32_t sum[1]) {
    int32_t s0 = 0;
    int32_t left, right, word, part;
    const int16_t *const end = x + 4u * blocks;
    __asm__ volatile(".syntax unified\n"
                     "1:\n" EDGERNN_PAIR("0")
                     EDGERNN_FIRST("0", "%[s0]")
                     EDGERNN_PAIR("4")
                     EDGERNN_SECOND("0", "%[s0]")
                     "adds %[w], #4\n"
                     "adds %[x], #8\n"
                     "cmp %[x], %[end]\n"
                     "bne 1b\n"
                     : [w] "+l"(w), [x] "+l"(x), [left] "=&l"(left), [right] "=&l"(right), [word] "=&l"(word),
                       [part] "=&l"(part), [s0] "+h"(s0)
                     : [end] "h"(end)
                     : "cc", "memory");
    sum[0] = s0;
    return w;
}

#else
/* Plain C. Four bytes of one row times four operands. */
static inline int32_t edgernn_four(const int8_t *w, const int16_t *x) {
    return edgernn_read_int8(w) * (int32_t)x[0] + edgernn_read_int8(w + 2) * (int32_t)x[1] +
           edgernn_read_int8(w + 1) * (int32_t)x[2] + edgernn_read_int8(w + 3) * (int32_t)x[3];
}

static inline const int8_t *edgernn_panel4(const int8_t *w, const int16_t *x, uint16_t blocks, int32_t sum[4]) {
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (; blocks; blocks--, w += 16, x += 4) {
        s0 += edgernn_four(w, x);
        s1 += edgernn_four(w + 4, x);
        s2 += edgernn_four(w + 8, x);
        s3 += edgernn_four(w + 12, x);
    }
    sum[0] = s0;
    sum[1] = s1;
    sum[2] = s2;
    sum[3] = s3;
    return w;
}

static inline const int8_t *edgernn_panel3(const int8_t *w, const int16_t *x, uint16_t blocks, int32_t sum[3]) {
    int32_t s0 = 0, s1 = 0, s2 = 0;
    for (; blocks; blocks--, w += 12, x += 4) {
        s0 += edgernn_four(w, x);
        s1 += edgernn_four(w + 4, x);
        s2 += edgernn_four(w + 8, x);
    }
    sum[0] = s0;
    sum[1] = s1;
    sum[2] = s2;
    return w;
}

static inline const int8_t *edgernn_panel1(const int8_t *w, const int16_t *x, uint16_t blocks, int32_t sum[1]) {
    int32_t s0 = 0;
    for (; blocks; blocks--, w += 4, x += 4) s0 += edgernn_four(w, x);
    sum[0] = s0;
    return w;
}
#endif

#if defined(__AVR__)
/* Bytes times bytes in assembly, for what its 8-bit multiplier is quick at: 24-bit sums, which hold 512 products, and
 * rescaling of 24 bits by 16. edgernn_narrow_rowsN(w, x, blocks, scales, p) adds N rescaled rows to p. The carry of MULS and MULSU is the sign of the product. */
#define EDGERNN_MULTIPLY(x, low, middle, high) \
    "lpm r25, Z+\n"                            \
    "muls r25, " x "\n"                        \
    "sbc r15, r15\n"                           \
    "add " low ", r0\n"                        \
    "adc " middle ", r1\n"                     \
    "adc " high ", r15\n"

/* four columns of one row */
#define EDGERNN_FOUR(low, middle, high)           \
    EDGERNN_MULTIPLY("r20", low, middle, high) \
    EDGERNN_MULTIPLY("r22", low, middle, high) \
    EDGERNN_MULTIPLY("r21", low, middle, high) \
    EDGERNN_MULTIPLY("r23", low, middle, high)

/* r20 shift - 17, r22:r21 multiplier, r23 high byte of the sum; r0:r14:r17:r16 takes bytes 5 to 2 of the product, r19:r18
 * bytes 1 and 0. The last bit that is shifted out is the carry with which the addition to p rounds. */
#define EDGERNN_RESCALE(low, middle, high) \
    "lpm r20, Z+\n"                        \
    "adiw r30, 1\n"                        \
    "lpm r21, Z+\n"                        \
    "lpm r22, Z+\n"                        \
    "mov r23, " high "\n"                  \
    "clr r15\n"                            \
    "mul " low ", r21\n"                   \
    "movw r18, r0\n"                       \
    "mul " middle ", r22\n"                \
    "movw r16, r0\n"                       \
    "mulsu r23, r22\n"                     \
    "mov r14, r1\n"                        \
    "add r17, r0\n"                        \
    "adc r14, r15\n"                       \
    "mul " middle ", r21\n"                \
    "add r19, r0\n"                        \
    "adc r16, r1\n"                        \
    "adc r17, r15\n"                       \
    "adc r14, r15\n"                       \
    "mul " low ", r22\n"                   \
    "add r19, r0\n"                        \
    "adc r16, r1\n"                        \
    "adc r17, r15\n"                       \
    "adc r14, r15\n"                       \
    "mulsu r23, r21\n"                     \
    "sbc r15, r15\n"                       \
    "add r16, r0\n"                        \
    "adc r17, r1\n"                        \
    "adc r14, r15\n"                       \
    "mov r0, r14\n"                        \
    "lsl r0\n"                             \
    "sbc r0, r0\n"                         \
    "tst r20\n"                            \
    "brpl 2f\n"                            \
    "1: lsl r18\n"                         \
    "rol r19\n"                            \
    "rol r16\n"                            \
    "rol r17\n"                            \
    "rol r14\n"                            \
    "rol r0\n"                             \
    "inc r20\n"                            \
    "brne 1b\n"                            \
    "2: asr r0\n"                          \
    "ror r14\n"                            \
    "ror r17\n"                            \
    "ror r16\n"                            \
    "dec r20\n"                            \
    "brpl 2b\n"                            \
    EDGERNN_ADD_BYTE("r16")                \
    EDGERNN_ADD_BYTE("r17")                \
    EDGERNN_ADD_BYTE("r14")                \
    EDGERNN_ADD_BYTE("r0")

#define EDGERNN_ADD_BYTE(byte) \
    "ld r18, X\n"              \
    "adc r18, " byte "\n"      \
    "st X+, r18\n"

#define EDGERNN_SAVE "push r14\npush r15\npush r16\npush r17\n"
#define EDGERNN_RESTORE "pop r17\npop r16\npop r15\npop r14\n"

/* w in r25:r24, x in r23:r22, blocks in r20, scales in r19:r18, p in r17:r16 */
#define EDGERNN_BEGIN   \
    "movw r30, r24\n"   \
    "movw r26, r22\n"   \
    "mov r24, r20\n"    \
    "1: ld r20, X+\n"   \
    "ld r21, X+\n"      \
    "ld r22, X+\n"      \
    "ld r23, X+\n"
#define EDGERNN_NEXT    \
    "dec r24\n"         \
    "breq 2f\n"         \
    "rjmp 1b\n"         \
    "2: movw r30, r18\n" \
    "movw r26, r16\n"
#define EDGERNN_END "clr __zero_reg__\nret\n"

#define EDGERNN_NARROW __attribute__((naked, noinline, unused))

EDGERNN_NARROW static void edgernn_narrow_rows4(const int8_t *w, const int8_t *x, uint8_t blocks,
                                                       const int32_t *scales, int32_t *p) {
    (void)w, (void)x, (void)blocks, (void)scales, (void)p;
    __asm__ volatile(
            EDGERNN_SAVE
            "push r2\npush r3\npush r4\npush r5\npush r6\npush r7\npush r8\npush r9\npush r10\n"
            "push r11\npush r12\npush r13\n"
            "clr r2\nclr r3\nclr r4\nclr r5\nclr r6\nclr r7\nclr r8\nclr r9\nclr r10\nclr r11\n"
            "clr r12\nclr r13\n"
            EDGERNN_BEGIN
            EDGERNN_FOUR("r2", "r3", "r4")
            EDGERNN_FOUR("r5", "r6", "r7")
            EDGERNN_FOUR("r8", "r9", "r10")
            EDGERNN_FOUR("r11", "r12", "r13")
            EDGERNN_NEXT
            EDGERNN_RESCALE("r2", "r3", "r4")
            EDGERNN_RESCALE("r5", "r6", "r7")
            EDGERNN_RESCALE("r8", "r9", "r10")
            EDGERNN_RESCALE("r11", "r12", "r13")
            "pop r13\npop r12\npop r11\npop r10\npop r9\npop r8\npop r7\npop r6\npop r5\npop r4\n"
            "pop r3\npop r2\n"
            EDGERNN_RESTORE
            EDGERNN_END);
}

EDGERNN_NARROW static void edgernn_narrow_rows3(const int8_t *w, const int8_t *x, uint8_t blocks,
                                                       const int32_t *scales, int32_t *p) {
    (void)w, (void)x, (void)blocks, (void)scales, (void)p;
    __asm__ volatile(
            EDGERNN_SAVE
            "push r2\npush r3\npush r4\npush r5\npush r6\npush r7\npush r8\npush r9\npush r10\n"
            "clr r2\nclr r3\nclr r4\nclr r5\nclr r6\nclr r7\nclr r8\nclr r9\nclr r10\n"
            EDGERNN_BEGIN
            EDGERNN_FOUR("r2", "r3", "r4")
            EDGERNN_FOUR("r5", "r6", "r7")
            EDGERNN_FOUR("r8", "r9", "r10")
            EDGERNN_NEXT
            EDGERNN_RESCALE("r2", "r3", "r4")
            EDGERNN_RESCALE("r5", "r6", "r7")
            EDGERNN_RESCALE("r8", "r9", "r10")
            "pop r10\npop r9\npop r8\npop r7\npop r6\npop r5\npop r4\npop r3\npop r2\n"
            EDGERNN_RESTORE
            EDGERNN_END);
}

EDGERNN_NARROW static void edgernn_narrow_rows1(const int8_t *w, const int8_t *x, uint8_t blocks,
                                                       const int32_t *scales, int32_t *p) {
    (void)w, (void)x, (void)blocks, (void)scales, (void)p;
    __asm__ volatile(
            EDGERNN_SAVE
            "push r2\npush r3\npush r4\n"
            "clr r2\nclr r3\nclr r4\n"
            EDGERNN_BEGIN
            EDGERNN_FOUR("r2", "r3", "r4")
            EDGERNN_NEXT
            EDGERNN_RESCALE("r2", "r3", "r4")
            "pop r4\npop r3\npop r2\n"
            EDGERNN_RESTORE
            EDGERNN_END);
}

#define EDGERNN_NARROW_BLOCKS 128u

/* Whether a product goes the narrow way; its operand is then bytes. */
static inline int edgernn_is_narrow(const edgernn_rows *matrix, uint16_t blocks) {
    return matrix->operand_bits == 8 && blocks <= EDGERNN_NARROW_BLOCKS;
}
#endif

/* Sums stay in registers where the functions of a panel become part of the cell. */
#if defined(__GNUC__)
#define EDGERNN_INLINE __attribute__((always_inline)) static inline
#else
#define EDGERNN_INLINE static inline
#endif

/* Adds the rescaled products of a panel to p; returns the weights of the next panel. */
EDGERNN_INLINE const int8_t *edgernn_add_rows4(const edgernn_rows *matrix, const int8_t *w, const int16_t *operand,
                                                uint16_t blocks, const int32_t *scales, int32_t *p) {
    int32_t sum[4];
#if defined(__AVR__)
    if (edgernn_is_narrow(matrix, blocks)) {
        edgernn_narrow_rows4(w, (const int8_t *)operand, (uint8_t)blocks, scales, p);
        return w + (uint16_t)(16u * blocks);
    }
#endif
    w = edgernn_panel4(w, operand, blocks, sum);
    p[0] += edgernn_scaled(matrix, sum[0], edgernn_read_int32(scales));
    p[1] += edgernn_scaled(matrix, sum[1], edgernn_read_int32(scales + 1));
    p[2] += edgernn_scaled(matrix, sum[2], edgernn_read_int32(scales + 2));
    p[3] += edgernn_scaled(matrix, sum[3], edgernn_read_int32(scales + 3));
    return w;
}

EDGERNN_INLINE const int8_t *edgernn_add_rows3(const edgernn_rows *matrix, const int8_t *w, const int16_t *operand,
                                                uint16_t blocks, const int32_t *scales, int32_t *p) {
    int32_t sum[3];
#if defined(__AVR__)
    if (edgernn_is_narrow(matrix, blocks)) {
        edgernn_narrow_rows3(w, (const int8_t *)operand, (uint8_t)blocks, scales, p);
        return w + (uint16_t)(12u * blocks);
    }
#endif
    w = edgernn_panel3(w, operand, blocks, sum);
    p[0] += edgernn_scaled(matrix, sum[0], edgernn_read_int32(scales));
    p[1] += edgernn_scaled(matrix, sum[1], edgernn_read_int32(scales + 1));
    p[2] += edgernn_scaled(matrix, sum[2], edgernn_read_int32(scales + 2));
    return w;
}

EDGERNN_INLINE const int8_t *edgernn_add_rows1(const edgernn_rows *matrix, const int8_t *w, const int16_t *operand,
                                                uint16_t blocks, const int32_t *scales, int32_t *p) {
    int32_t sum[1];
#if defined(__AVR__)
    if (edgernn_is_narrow(matrix, blocks)) {
        edgernn_narrow_rows1(w, (const int8_t *)operand, (uint8_t)blocks, scales, p);
        return w + (uint16_t)(4u * blocks);
    }
#endif
    w = edgernn_panel1(w, operand, blocks, sum);
    p[0] += edgernn_scaled(matrix, sum[0], edgernn_read_int32(scales));
    return w;
}

/* The operand of a product: `count` values, filled up with zeros to a multiple of four. */
static inline void edgernn_load(const edgernn_rows *matrix, const int16_t *x, uint16_t count, int16_t *operand) {
    uint16_t k = 0;
#if defined(__AVR__)
    if (edgernn_is_narrow(matrix, edgernn_blocks(count))) {
        int8_t *const bytes = (int8_t *)operand;
        for (; k < count; k++) bytes[k] = edgernn_high_byte(x[k]);
        for (; k & 3u; k++) bytes[k] = 0;
        return;
    }
#endif
    for (; k < count; k++) operand[k] = matrix->operand_bits == 16 ? x[k] : edgernn_high_byte(x[k]);
    for (; k & 3u; k++) operand[k] = 0;
}
