/* needs: rows */
/* Sums of the products of one panel: edgernn_panelN(w, x, blocks, sum) returns the weights of the next panel. There
 * is a form for Cortex-M55 and its kind, one for Cortex-M4, one for Cortex-M0, and plain C. */

#if EDGERNN_HELIUM
/* Helium: eight products in one instruction. Two rows of a block share a register, four lanes each; predicates tell
 * them apart, and must be inverted an even number of times. The operand's four columns come twice, in the order of the
 * weights. */
#define EDGERNN_BEGIN                          \
    const uintptr_t before = (uintptr_t)x - 8; \
    __asm__ volatile("vmsr p0, %[low_half]\n"  \
                     "vdup.32 q3, %[before]\n" \
                     "dls lr, %[blocks]\n"     \
                     "1: vldrd.u64 q2, [q3, #8]!\n"
#define EDGERNN_INPUTS [low_half] "r"(0xFF), [before] "r"(before), [blocks] "r"(blocks)
#define EDGERNN_CLOBBERS "lr", "cc", "memory", "q0", "q1", "q2", "q3", "p0"

static inline const int8_t *edgernn_panel4(const int8_t *w, const int16_t *x, uint16_t blocks, int32_t sum[4]) {
    sum[0] = sum[1] = sum[2] = sum[3] = 0;
    EDGERNN_BEGIN
                     "vldrb.s16 q0, [%[w]], #8\n"
                     "vldrb.s16 q1, [%[w]], #8\n"
                     "vpsteet\n"
                     "vmladavat.s16 %[s0], q0, q2\n"
                     "vmladavae.s16 %[s1], q0, q2\n"
                     "vmladavae.s16 %[s3], q1, q2\n"
                     "vmladavat.s16 %[s2], q1, q2\n"
                     "le lr, 1b\n"
                     : [w] "+l"(w), [s0] "+Te"(sum[0]), [s1] "+Te"(sum[1]), [s2] "+Te"(sum[2]), [s3] "+Te"(sum[3])
                     : EDGERNN_INPUTS
                     : EDGERNN_CLOBBERS);
    return w;
}

static inline const int8_t *edgernn_panel3(const int8_t *w, const int16_t *x, uint16_t blocks, int32_t sum[3]) {
    sum[0] = sum[1] = sum[2] = 0;
    EDGERNN_BEGIN
                     "vldrb.s16 q0, [%[w]], #8\n"
                     "vpsttet\n"
                     "vldrbt.s16 q1, [%[w]], #4\n"
                     "vmladavat.s16 %[s0], q0, q2\n"
                     "vmladavae.s16 %[s1], q0, q2\n"
                     "vmladavat.s16 %[s2], q1, q2\n"
                     "le lr, 1b\n"
                     : [w] "+l"(w), [s0] "+Te"(sum[0]), [s1] "+Te"(sum[1]), [s2] "+Te"(sum[2])
                     : EDGERNN_INPUTS
                     : EDGERNN_CLOBBERS);
    return w;
}

/* A row alone lies in one piece. */
static inline const int8_t *edgernn_panel1(const int8_t *w, const int16_t *x, uint16_t blocks, int32_t sum[1]) {
    const int8_t *row = w;
    const uint32_t columns = 4u * blocks;
    sum[0] = 0;
    __asm__ volatile("dlstp.16 lr, %[columns]\n"
                     "1: vldrb.s16 q0, [%[w]], #8\n"
                     "vldrh.s16 q1, [%[x]], #16\n"
                     "vmladava.s16 %[s0], q0, q1\n"
                     "letp lr, 1b\n"
                     : [w] "+l"(row), [x] "+l"(x), [s0] "+Te"(sum[0])
                     : [columns] "r"(columns)
                     : "lr", "cc", "memory", "q0", "q1", "p0");
    return w + columns;
}

#elif defined(__ARM_FEATURE_SIMD32) && defined(__thumb2__)
/* Two products in one instruction; weights are loaded in words and widened in pairs. */
#define EDGERNN_ROW(word, sum)                  \
    "sxtb16 %[pair], " word "\n"                \
    "sxtb16 " word ", " word ", ror #8\n"       \
    "smlad " sum ", %[pair], %[x01], " sum "\n" \
    "smlad " sum ", " word ", %[x23], " sum "\n"

static inline const int8_t *edgernn_panel4(const int8_t *w, const int16_t *x, uint16_t blocks, int32_t sum[4]) {
    sum[0] = sum[1] = sum[2] = sum[3] = 0;
    int32_t x01, x23, w0, w1, pair;
    const int16_t *const end = x + 4u * blocks;
    __asm__ volatile("1: ldrd %[x01], %[x23], [%[x]], #8\n"
                     "ldrd %[w0], %[w1], [%[w]], #8\n"
                     EDGERNN_ROW("%[w0]", "%[s0]") EDGERNN_ROW("%[w1]", "%[s1]")
                     "ldrd %[w0], %[w1], [%[w]], #8\n"
                     EDGERNN_ROW("%[w0]", "%[s2]") EDGERNN_ROW("%[w1]", "%[s3]")
                     "cmp %[x], %[end]\n"
                     "bne 1b\n"
                     : [w] "+&r"(w), [x] "+&r"(x), [s0] "+&r"(sum[0]), [s1] "+&r"(sum[1]), [s2] "+&r"(sum[2]),
                       [s3] "+&r"(sum[3]), [x01] "=&r"(x01), [x23] "=&r"(x23), [w0] "=&r"(w0), [w1] "=&r"(w1),
                       [pair] "=&r"(pair)
                     : [end] "r"(end)
                     : "cc", "memory");
    return w;
}

static inline const int8_t *edgernn_panel3(const int8_t *w, const int16_t *x, uint16_t blocks, int32_t sum[3]) {
    sum[0] = sum[1] = sum[2] = 0;
    int32_t x01, x23, w0, w1, pair;
    const int16_t *const end = x + 4u * blocks;
    __asm__ volatile("1: ldrd %[x01], %[x23], [%[x]], #8\n"
                     "ldrd %[w0], %[w1], [%[w]], #8\n"
                     EDGERNN_ROW("%[w0]", "%[s0]") EDGERNN_ROW("%[w1]", "%[s1]")
                     "ldr %[w0], [%[w]], #4\n"
                     EDGERNN_ROW("%[w0]", "%[s2]")
                     "cmp %[x], %[end]\n"
                     "bne 1b\n"
                     : [w] "+&r"(w), [x] "+&r"(x), [s0] "+&r"(sum[0]), [s1] "+&r"(sum[1]), [s2] "+&r"(sum[2]),
                       [x01] "=&r"(x01), [x23] "=&r"(x23), [w0] "=&r"(w0), [w1] "=&r"(w1), [pair] "=&r"(pair)
                     : [end] "r"(end)
                     : "cc", "memory");
    return w;
}

static inline const int8_t *edgernn_panel1(const int8_t *w, const int16_t *x, uint16_t blocks, int32_t sum[1]) {
    sum[0] = 0;
    int32_t x01, x23, w0, pair;
    const int16_t *const end = x + 4u * blocks;
    __asm__ volatile("1: ldrd %[x01], %[x23], [%[x]], #8\n"
                     "ldr %[w0], [%[w]], #4\n"
                     EDGERNN_ROW("%[w0]", "%[s0]")
                     "cmp %[x], %[end]\n"
                     "bne 1b\n"
                     : [w] "+&r"(w), [x] "+&r"(x), [s0] "+&r"(sum[0]),
                       [x01] "=&r"(x01), [x23] "=&r"(x23), [w0] "=&r"(w0), [pair] "=&r"(pair)
                     : [end] "r"(end)
                     : "cc", "memory");
    return w;
}

#elif defined(__ARM_ARCH_6M__)
/* Cortex-M0 has eight registers to compute in, loads signed bytes slowly, and adds to all sixteen: words are taken
 * apart by shifts, two columns at a time, and sums are kept above, by name: gcc -Os gives none of those out. */
#define EDGERNN_ZERO ".syntax unified\nmovs %[part], #0\n"
#define EDGERNN_CLEAR(sum) "mov " sum ", %[part]\n"
#define EDGERNN_PAIR(offset)              \
    "ldr %[right], [%[x], #" offset "]\n" \
    "sxth %[left], %[right]\n"            \
    "asrs %[right], %[right], #16\n"
#define EDGERNN_FIRST(offset, sum)       \
    "ldr %[word], [%[w], #" offset "]\n" \
    "sxtb %[part], %[word]\n"            \
    "muls %[part], %[left]\n"            \
    "add " sum ", %[part]\n"             \
    "lsls %[word], %[word], #8\n"        \
    "asrs %[word], %[word], #24\n"       \
    "muls %[word], %[right]\n"           \
    "add " sum ", %[word]\n"
#define EDGERNN_SECOND(offset, sum)      \
    "ldr %[word], [%[w], #" offset "]\n" \
    "lsls %[part], %[word], #16\n"       \
    "asrs %[part], %[part], #24\n"       \
    "muls %[part], %[left]\n"            \
    "add " sum ", %[part]\n"             \
    "asrs %[word], %[word], #24\n"       \
    "muls %[word], %[right]\n"           \
    "add " sum ", %[word]\n"

static inline const int8_t *edgernn_panel4(const int8_t *w, const int16_t *x, uint16_t blocks, int32_t sum[4]) {
    const int16_t *const end = x + 4u * blocks;
    __asm__ volatile(EDGERNN_ZERO EDGERNN_CLEAR("r8") EDGERNN_CLEAR("r9") EDGERNN_CLEAR("r10") EDGERNN_CLEAR("r11")
                     "1:\n" EDGERNN_PAIR("0")
                     EDGERNN_FIRST("0", "r8")
                     EDGERNN_FIRST("4", "r9")
                     EDGERNN_FIRST("8", "r10")
                     EDGERNN_FIRST("12", "r11")
                     EDGERNN_PAIR("4")
                     EDGERNN_SECOND("0", "r8")
                     EDGERNN_SECOND("4", "r9")
                     EDGERNN_SECOND("8", "r10")
                     EDGERNN_SECOND("12", "r11")
                     "adds %[w], #16\n"
                     "adds %[x], #8\n"
                     "cmp %[x], %[end]\n"
                     "bne 1b\n"
                     "mov %[left], r8\n"
                     "mov %[right], r9\n"
                     "mov %[word], r10\n"
                     "mov %[part], r11\n"
                     : [w] "+l"(w), [x] "+l"(x), [left] "=&l"(sum[0]), [right] "=&l"(sum[1]),
                       [word] "=&l"(sum[2]), [part] "=&l"(sum[3])
                     : [end] "h"(end)
                     : "cc", "memory", "r8", "r9", "r10", "r11");
    return w;
}

static inline const int8_t *edgernn_panel3(const int8_t *w, const int16_t *x, uint16_t blocks, int32_t sum[3]) {
    int32_t part;
    const int16_t *const end = x + 4u * blocks;
    __asm__ volatile(EDGERNN_ZERO EDGERNN_CLEAR("r8") EDGERNN_CLEAR("r9") EDGERNN_CLEAR("r10")
                     "1:\n" EDGERNN_PAIR("0")
                     EDGERNN_FIRST("0", "r8")
                     EDGERNN_FIRST("4", "r9")
                     EDGERNN_FIRST("8", "r10")
                     EDGERNN_PAIR("4")
                     EDGERNN_SECOND("0", "r8")
                     EDGERNN_SECOND("4", "r9")
                     EDGERNN_SECOND("8", "r10")
                     "adds %[w], #12\n"
                     "adds %[x], #8\n"
                     "cmp %[x], %[end]\n"
                     "bne 1b\n"
                     "mov %[left], r8\n"
                     "mov %[right], r9\n"
                     "mov %[word], r10\n"
                     : [w] "+l"(w), [x] "+l"(x), [left] "=&l"(sum[0]), [right] "=&l"(sum[1]),
                       [word] "=&l"(sum[2]), [part] "=&l"(part)
                     : [end] "h"(end)
                     : "cc", "memory", "r8", "r9", "r10");
    return w;
}

static inline const int8_t *edgernn_panel1(const int8_t *w, const int16_t *x, uint16_t blocks, int32_t sum[1]) {
    int32_t right, word, part;
    const int16_t *const end = x + 4u * blocks;
    __asm__ volatile(EDGERNN_ZERO EDGERNN_CLEAR("r8")
                     "1:\n" EDGERNN_PAIR("0")
                     EDGERNN_FIRST("0", "r8")
                     EDGERNN_PAIR("4")
                     EDGERNN_SECOND("0", "r8")
                     "adds %[w], #4\n"
                     "adds %[x], #8\n"
                     "cmp %[x], %[end]\n"
                     "bne 1b\n"
                     "mov %[left], r8\n"
                     : [w] "+l"(w), [x] "+l"(x), [left] "=&l"(sum[0]), [right] "=&l"(right),
                       [word] "=&l"(word), [part] "=&l"(part)
                     : [end] "h"(end)
                     : "cc", "memory", "r8");
    return w;
}

#else
/* Plain C. Four bytes of one row times four operands. */
static inline int32_t edgernn_four(const int8_t *w, const int16_t *x) {
    return edgernn_read_int8(w) * (int32_t)x[0] + edgernn_read_int8(w + 2) * (int32_t)x[1] +
           edgernn_read_int8(w + 1) * (int32_t)x[2] + edgernn_read_int8(w + 3) * (int32_t)x[3];
}

static inline const int8_t *edgernn_panel4(const int8_t *w, const int16_t *x, uint16_t blocks, int32_t sum[4]) {
    sum[0] = sum[1] = sum[2] = sum[3] = 0;
    for (; blocks; blocks--, w += 16, x += 4) {
        sum[0] += edgernn_four(w, x);
        sum[1] += edgernn_four(w + 4, x);
        sum[2] += edgernn_four(w + 8, x);
        sum[3] += edgernn_four(w + 12, x);
    }
    return w;
}

static inline const int8_t *edgernn_panel3(const int8_t *w, const int16_t *x, uint16_t blocks, int32_t sum[3]) {
    sum[0] = sum[1] = sum[2] = 0;
    for (; blocks; blocks--, w += 12, x += 4) {
        sum[0] += edgernn_four(w, x);
        sum[1] += edgernn_four(w + 4, x);
        sum[2] += edgernn_four(w + 8, x);
    }
    return w;
}

static inline const int8_t *edgernn_panel1(const int8_t *w, const int16_t *x, uint16_t blocks, int32_t sum[1]) {
    sum[0] = 0;
    for (; blocks; blocks--, w += 4, x += 4) sum[0] += edgernn_four(w, x);
    return w;
}
#endif
