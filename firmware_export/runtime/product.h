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

/* One matrix during a step: weights of the next panel, operand, blocks of four columns. Assembly knows the order. */
typedef struct {
    const int8_t *w;
    const int16_t *x;
    uint16_t blocks;
} edgernn_half;

/* Both matrices of a cell during a step. */
typedef struct {
    edgernn_half input, state;
    const int32_t *constants; /* of the next unit */
    int narrow;
} edgernn_pair;

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
 * rescaling of 24 bits by 16. The carry of MULS and MULSU is the sign of the product. */
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

/* Dot products of one panel, then their rescaling. Y points to an edgernn_half, r19:r18 to scales, r17:r16 to p; at the
 * end Z points behind the scales, X behind p, and the half to the next panel. */
#define EDGERNN_HALF_BEGIN   \
    "ldd r30, Y+0\n"         \
    "ldd r31, Y+1\n"         \
    "ldd r26, Y+2\n"         \
    "ldd r27, Y+3\n"         \
    "ldd r24, Y+4\n"         \
    "1: ld r20, X+\n"        \
    "ld r21, X+\n"           \
    "ld r22, X+\n"           \
    "ld r23, X+\n"
#define EDGERNN_HALF_NEXT    \
    "dec r24\n"              \
    "breq 2f\n"              \
    "rjmp 1b\n"              \
    "2: std Y+0, r30\n"      \
    "std Y+1, r31\n"         \
    "movw r30, r18\n"        \
    "movw r26, r16\n"
#define EDGERNN_SAVE "push r14\npush r15\npush r16\npush r17\npush r28\npush r29\n"
#define EDGERNN_RESTORE "pop r29\npop r28\npop r17\npop r16\npop r15\npop r14\nclr __zero_reg__\nret\n"
#define EDGERNN_ASSEMBLY __attribute__((naked, noinline, unused)) static void

/* Four rows: half in r25:r24, scales in r23:r22, p in r21:r20. */
EDGERNN_ASSEMBLY edgernn_narrow_rows4(edgernn_half *half, const int32_t *scales, int32_t *p) {
    (void)half, (void)scales, (void)p;
    __asm__ volatile(
        EDGERNN_SAVE
        "push r2\npush r3\npush r4\npush r5\npush r6\npush r7\npush r8\npush r9\n"
        "push r10\npush r11\npush r12\npush r13\n"
        "movw r28, r24\nmovw r18, r22\nmovw r16, r20\n"
        "clr r2\nclr r3\nclr r4\nclr r5\nclr r6\nclr r7\nclr r8\nclr r9\nclr r10\n"
        "clr r11\nclr r12\nclr r13\n"
        EDGERNN_HALF_BEGIN
        EDGERNN_FOUR("r2", "r3", "r4")
        EDGERNN_FOUR("r5", "r6", "r7")
        EDGERNN_FOUR("r8", "r9", "r10")
        EDGERNN_FOUR("r11", "r12", "r13")
        EDGERNN_HALF_NEXT
        EDGERNN_RESCALE("r2", "r3", "r4")
        EDGERNN_RESCALE("r5", "r6", "r7")
        EDGERNN_RESCALE("r8", "r9", "r10")
        EDGERNN_RESCALE("r11", "r12", "r13")
        "pop r13\npop r12\npop r11\npop r10\npop r9\npop r8\npop r7\npop r6\npop r5\n"
        "pop r4\npop r3\npop r2\n"
        EDGERNN_RESTORE);
}

/* One row: half in r25:r24, scales in r23:r22, p in r21:r20. */
EDGERNN_ASSEMBLY edgernn_narrow_rows1(edgernn_half *half, const int32_t *scales, int32_t *p) {
    (void)half, (void)scales, (void)p;
    __asm__ volatile(
        EDGERNN_SAVE
        "push r2\npush r3\npush r4\n"
        "movw r28, r24\nmovw r18, r22\nmovw r16, r20\n"
        "clr r2\nclr r3\nclr r4\n"
        EDGERNN_HALF_BEGIN
        EDGERNN_FOUR("r2", "r3", "r4")
        EDGERNN_HALF_NEXT
        EDGERNN_RESCALE("r2", "r3", "r4")
        "pop r4\npop r3\npop r2\n"
        EDGERNN_RESTORE);
}

/* One unit of a cell: biases, panels of 4 rows of both matrices. Pair in r25:r24, p in r23:r22. */
EDGERNN_ASSEMBLY edgernn_narrow_unit4(edgernn_pair *pair, int32_t p[4]) {
    (void)pair, (void)p;
    __asm__ volatile(
        EDGERNN_SAVE
        "push r2\npush r3\npush r4\npush r5\npush r6\npush r7\npush r8\npush r9\n"
        "push r10\npush r11\npush r12\npush r13\n"
        "movw r28, r24\nmovw r26, r22\nldd r30, Y+12\nldd r31, Y+13\n"
        "ldi r24, 4\n" /* four biases of four bytes */
        "1: lpm r20, Z+\nst X+, r20\nlpm r20, Z+\nst X+, r20\n"
        "lpm r20, Z+\nst X+, r20\nlpm r20, Z+\nst X+, r20\n"
        "dec r24\nbrne 1b\n"
        "sbiw r26, 16\nmovw r18, r30\nmovw r16, r26\n"
        "rcall 9f\n"
        "sbiw r26, 16\nmovw r18, r30\nmovw r16, r26\nadiw r28, 6\n"
        "rcall 9f\n"
        "std Y+6, r30\nstd Y+7, r31\n" /* Y is at the second half now */
        "pop r13\npop r12\npop r11\npop r10\npop r9\npop r8\npop r7\npop r6\npop r5\n"
        "pop r4\npop r3\npop r2\n"
        EDGERNN_RESTORE
        "9:\n"
        "clr r2\nclr r3\nclr r4\nclr r5\nclr r6\nclr r7\nclr r8\nclr r9\nclr r10\n"
        "clr r11\nclr r12\nclr r13\n"
        EDGERNN_HALF_BEGIN
        EDGERNN_FOUR("r2", "r3", "r4")
        EDGERNN_FOUR("r5", "r6", "r7")
        EDGERNN_FOUR("r8", "r9", "r10")
        EDGERNN_FOUR("r11", "r12", "r13")
        EDGERNN_HALF_NEXT
        EDGERNN_RESCALE("r2", "r3", "r4")
        EDGERNN_RESCALE("r5", "r6", "r7")
        EDGERNN_RESCALE("r8", "r9", "r10")
        EDGERNN_RESCALE("r11", "r12", "r13")
        "ret\n");
}

/* One unit of a cell: biases, panels of 3 rows of both matrices. Pair in r25:r24, p in r23:r22. */
EDGERNN_ASSEMBLY edgernn_narrow_unit3(edgernn_pair *pair, int32_t p[4]) {
    (void)pair, (void)p;
    __asm__ volatile(
        EDGERNN_SAVE
        "push r2\npush r3\npush r4\npush r5\npush r6\npush r7\npush r8\npush r9\n"
        "push r10\n"
        "movw r28, r24\nmovw r26, r22\nldd r30, Y+12\nldd r31, Y+13\n"
        "ldi r24, 4\n" /* four biases of four bytes */
        "1: lpm r20, Z+\nst X+, r20\nlpm r20, Z+\nst X+, r20\n"
        "lpm r20, Z+\nst X+, r20\nlpm r20, Z+\nst X+, r20\n"
        "dec r24\nbrne 1b\n"
        "sbiw r26, 16\nmovw r18, r30\nmovw r16, r26\n"
        "rcall 9f\n"
        "sbiw r26, 8\nmovw r18, r30\nmovw r16, r26\nadiw r28, 6\n"
        "rcall 9f\n"
        "std Y+6, r30\nstd Y+7, r31\n" /* Y is at the second half now */
        "pop r10\npop r9\npop r8\npop r7\npop r6\npop r5\npop r4\npop r3\npop r2\n"
        EDGERNN_RESTORE
        "9:\n"
        "clr r2\nclr r3\nclr r4\nclr r5\nclr r6\nclr r7\nclr r8\nclr r9\nclr r10\n"
        EDGERNN_HALF_BEGIN
        EDGERNN_FOUR("r2", "r3", "r4")
        EDGERNN_FOUR("r5", "r6", "r7")
        EDGERNN_FOUR("r8", "r9", "r10")
        EDGERNN_HALF_NEXT
        EDGERNN_RESCALE("r2", "r3", "r4")
        EDGERNN_RESCALE("r5", "r6", "r7")
        EDGERNN_RESCALE("r8", "r9", "r10")
        "ret\n");
}

#define EDGERNN_NARROW_BLOCKS 128u
#endif

/* Whether products go the narrow way, on AVR: their operands are then bytes. */
static inline int edgernn_is_narrow(const edgernn_rows *matrix, uint16_t blocks) {
#if defined(__AVR__)
    return matrix->operand_bits == 8 && blocks <= EDGERNN_NARROW_BLOCKS;
#else
    (void)matrix, (void)blocks;
    return 0;
#endif
}

/* Sums stay in registers where the functions of a panel become part of the cell. */
#if defined(__GNUC__)
#define EDGERNN_INLINE __attribute__((always_inline)) static inline
#else
#define EDGERNN_INLINE static inline
#endif

/* Adds the rescaled products of a panel of 4 to p. */
EDGERNN_INLINE void edgernn_add_rows4(const edgernn_rows *matrix, int narrow, edgernn_half *half, const int32_t *scales,
                                      int32_t p[4]) {
    int32_t sum[4];
#if defined(__AVR__)
    if (narrow) {
        edgernn_narrow_rows4(half, scales, p);
        return;
    }
#endif
    half->w = edgernn_panel4(half->w, half->x, half->blocks, sum);
    p[0] += edgernn_scaled(matrix, sum[0], edgernn_read_int32(scales));
    p[1] += edgernn_scaled(matrix, sum[1], edgernn_read_int32(scales + 1));
    p[2] += edgernn_scaled(matrix, sum[2], edgernn_read_int32(scales + 2));
    p[3] += edgernn_scaled(matrix, sum[3], edgernn_read_int32(scales + 3));
    (void)narrow;
}

/* Adds the rescaled products of a panel of 3 to p. */
EDGERNN_INLINE void edgernn_add_rows3(const edgernn_rows *matrix, edgernn_half *half, const int32_t *scales,
                                      int32_t p[3]) {
    int32_t sum[3];
    half->w = edgernn_panel3(half->w, half->x, half->blocks, sum);
    p[0] += edgernn_scaled(matrix, sum[0], edgernn_read_int32(scales));
    p[1] += edgernn_scaled(matrix, sum[1], edgernn_read_int32(scales + 1));
    p[2] += edgernn_scaled(matrix, sum[2], edgernn_read_int32(scales + 2));
}

/* Adds the rescaled products of a panel of 1 to p. */
EDGERNN_INLINE void edgernn_add_rows1(const edgernn_rows *matrix, int narrow, edgernn_half *half, const int32_t *scales,
                                      int32_t p[1]) {
    int32_t sum[1];
#if defined(__AVR__)
    if (narrow) {
        edgernn_narrow_rows1(half, scales, p);
        return;
    }
#endif
    half->w = edgernn_panel1(half->w, half->x, half->blocks, sum);
    p[0] += edgernn_scaled(matrix, sum[0], edgernn_read_int32(scales));
    (void)narrow;
}

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
    for (; k < count; k++) operand[k] = matrix->operand_bits == 16 ? x[k] : edgernn_high_byte(x[k]);
    for (; k & 3u; k++) operand[k] = 0;
    return half;
}

/* Begins a step of a cell. `operand` has room for input and state, each a multiple of four. */
static inline edgernn_pair edgernn_begin(const edgernn_rows *W, const edgernn_rows *R, const int32_t *constants,
                                         const int16_t *x, uint16_t input_size, const int16_t *h, uint16_t hidden_size,
                                         int16_t *operand) {
    edgernn_pair pair;
    const uint16_t x_blocks = edgernn_blocks(input_size);
    pair.narrow = edgernn_is_narrow(W, x_blocks) && edgernn_is_narrow(R, edgernn_blocks(hidden_size));
    pair.input = edgernn_load(W, pair.narrow, x, input_size, operand);
    pair.state = edgernn_load(R, pair.narrow, h, hidden_size, operand + 4u * x_blocks);
    pair.constants = constants;
    return pair;
}

/* Gate inputs of the next unit of a GRU: h of W, z, r, h of R. Panels hold h z r of W and z r h of R; constants are four
 * biases and the scales of both panels. */
EDGERNN_INLINE void edgernn_unit3(const edgernn_rows *W, const edgernn_rows *R, edgernn_pair *pair, int32_t p[4]) {
#if defined(__AVR__)
    if (pair->narrow) {
        edgernn_narrow_unit3(pair, p);
        return;
    }
#endif
    edgernn_take4(pair->constants, p);
    edgernn_add_rows3(W, &pair->input, pair->constants + 4, p);
    edgernn_add_rows3(R, &pair->state, pair->constants + 7, p + 1);
    pair->constants += 10;
}

/* Gate inputs of the next unit of an LSTM, i o f c, or of the next four units of an Elman cell. Constants are four biases
 * and the scales of both panels. */
EDGERNN_INLINE void edgernn_unit4(const edgernn_rows *W, const edgernn_rows *R, edgernn_pair *pair, int32_t p[4]) {
#if defined(__AVR__)
    if (pair->narrow) {
        edgernn_narrow_unit4(pair, p);
        return;
    }
#endif
    edgernn_take4(pair->constants, p);
    edgernn_add_rows4(W, 0, &pair->input, pair->constants + 4, p);
    edgernn_add_rows4(R, 0, &pair->state, pair->constants + 8, p);
    pair->constants += 12;
}

/* The same for one row of each matrix. */
EDGERNN_INLINE void edgernn_unit1(const edgernn_rows *W, const edgernn_rows *R, edgernn_pair *pair, int32_t p[1]) {
    p[0] = edgernn_read_int32(pair->constants);
    edgernn_add_rows1(W, pair->narrow, &pair->input, pair->constants + 1, p);
    edgernn_add_rows1(R, pair->narrow, &pair->state, pair->constants + 2, p);
    pair->constants += 3;
}
