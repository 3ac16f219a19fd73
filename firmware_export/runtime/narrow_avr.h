/* needs: rows */
#if defined(__AVR__)
/* Bytes times bytes in assembly, for what the 8-bit multiplier is quick at: 24-bit sums, which hold 512 products, and
 * their rescaling by 16-bit multipliers. The carry of MULS and MULSU is the sign of the product. */
#define EDGERNN_NARROW_BLOCKS 128u

/* one column of a row */
#define EDGERNN_MULTIPLY(x, low, middle, high) \
    "lpm r25, Z+\n"                            \
    "muls r25, " x "\n"                        \
    "sbc r15, r15\n"                           \
    "add " low ", r0\n"                        \
    "adc " middle ", r1\n"                     \
    "adc " high ", r15\n"

/* four columns of a row */
#define EDGERNN_FOUR(low, middle, high)        \
    EDGERNN_MULTIPLY("r20", low, middle, high) \
    EDGERNN_MULTIPLY("r22", low, middle, high) \
    EDGERNN_MULTIPLY("r21", low, middle, high) \
    EDGERNN_MULTIPLY("r23", low, middle, high)

/* A sum rescaled: r20 shift - 17, r22:r21 multiplier, r23 high byte of the sum. Bytes 5 to 2 of the product come to
 * r0:r14:r17:r16, bytes 1 and 0 to r19:r18. The last bit that is shifted out stays in the carry, to round with. */
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
    "tst r20\n"                            \
    "brpl 1f\n"                            \
    "mov r0, r14\n"                        \
    "lsl r0\n"                             \
    "sbc r0, r0\n"                         \
    "0: lsl r18\n"                         \
    "rol r19\n"                            \
    "rol r16\n"                            \
    "rol r17\n"                            \
    "rol r14\n"                            \
    "rol r0\n"                             \
    "inc r20\n"                            \
    "brne 0b\n"                            \
    "asr r0\n"                             \
    "ror r14\n"                            \
    "ror r17\n"                            \
    "ror r16\n"                            \
    "rjmp 3f\n"                            \
    "1: asr r14\n"                         \
    "ror r17\n"                            \
    "ror r16\n"                            \
    "dec r20\n"                            \
    "brpl 1b\n"                            \
    "clr r0\n"                             \
    "sbrc r14, 7\n"                        \
    "dec r0\n"                             \
    "3:\n"

/* the rescaled sum plus a bias becomes the next number of p, or is added to it */
#define EDGERNN_BIAS_BYTE(byte) \
    "lpm r18, Z+\n"             \
    "adc r18, " byte "\n"       \
    "st X+, r18\n"
#define EDGERNN_ADD_BYTE(byte) \
    "ld r18, X\n"              \
    "adc r18, " byte "\n"      \
    "st X+, r18\n"
#define EDGERNN_SET(low, middle, high) \
    EDGERNN_RESCALE(low, middle, high) \
    EDGERNN_BIAS_BYTE("r16")           \
    EDGERNN_BIAS_BYTE("r17")           \
    EDGERNN_BIAS_BYTE("r14")           \
    EDGERNN_BIAS_BYTE("r0")
#define EDGERNN_ADD(low, middle, high) \
    EDGERNN_RESCALE(low, middle, high) \
    EDGERNN_ADD_BYTE("r16")            \
    EDGERNN_ADD_BYTE("r17")            \
    EDGERNN_ADD_BYTE("r14")            \
    EDGERNN_ADD_BYTE("r0")

/* A function takes weights in Z, the operand in X, blocks in r24, constants in r23:r22, p in r21:r20, and leaves the
 * weights of the next panel in Z. It multiplies (r24 counts blocks), then rescales (Z constants, X p). */
#define EDGERNN_BEGIN \
    "movw r18, r22\n" \
    "movw r16, r20\n"
#define EDGERNN_BLOCK \
    "1: ld r20, X+\n" \
    "ld r21, X+\n"    \
    "ld r22, X+\n"    \
    "ld r23, X+\n"
#define EDGERNN_NEXT     \
    "dec r24\n"          \
    "breq 2f\n"          \
    "rjmp 1b\n"          \
    "2: movw r24, r30\n" \
    "movw r30, r18\n"    \
    "movw r26, r16\n"
#define EDGERNN_END      \
    "clr __zero_reg__\n" \
    "movw r30, r24\n"    \
    "ret\n"
#define EDGERNN_ASSEMBLY __attribute__((naked, noinline, unused)) static void

/* Four rows: scale and bias of each. */
EDGERNN_ASSEMBLY edgernn_narrow_set4(void) {
    __asm__ volatile(
        EDGERNN_BEGIN
        "clr r2\nclr r3\nclr r4\nclr r5\nclr r6\nclr r7\nclr r8\nclr r9\nclr r10\nclr r11\n"
        "clr r12\nclr r13\n"
        EDGERNN_BLOCK
        EDGERNN_FOUR("r2", "r3", "r4")
        EDGERNN_FOUR("r5", "r6", "r7")
        EDGERNN_FOUR("r8", "r9", "r10")
        EDGERNN_FOUR("r11", "r12", "r13")
        EDGERNN_NEXT
        EDGERNN_SET("r2", "r3", "r4")
        EDGERNN_SET("r5", "r6", "r7")
        EDGERNN_SET("r8", "r9", "r10")
        EDGERNN_SET("r11", "r12", "r13")
        EDGERNN_END);
}

/* Four rows: scale of each. */
EDGERNN_ASSEMBLY edgernn_narrow_add4(void) {
    __asm__ volatile(
        EDGERNN_BEGIN
        "clr r2\nclr r3\nclr r4\nclr r5\nclr r6\nclr r7\nclr r8\nclr r9\nclr r10\nclr r11\n"
        "clr r12\nclr r13\n"
        EDGERNN_BLOCK
        EDGERNN_FOUR("r2", "r3", "r4")
        EDGERNN_FOUR("r5", "r6", "r7")
        EDGERNN_FOUR("r8", "r9", "r10")
        EDGERNN_FOUR("r11", "r12", "r13")
        EDGERNN_NEXT
        EDGERNN_ADD("r2", "r3", "r4")
        EDGERNN_ADD("r5", "r6", "r7")
        EDGERNN_ADD("r8", "r9", "r10")
        EDGERNN_ADD("r11", "r12", "r13")
        EDGERNN_END);
}

/* Three rows: scale and bias of each. */
EDGERNN_ASSEMBLY edgernn_narrow_set3(void) {
    __asm__ volatile(
        EDGERNN_BEGIN
        "clr r2\nclr r3\nclr r4\nclr r5\nclr r6\nclr r7\nclr r8\nclr r9\nclr r10\n"
        EDGERNN_BLOCK
        EDGERNN_FOUR("r2", "r3", "r4")
        EDGERNN_FOUR("r5", "r6", "r7")
        EDGERNN_FOUR("r8", "r9", "r10")
        EDGERNN_NEXT
        EDGERNN_SET("r2", "r3", "r4")
        EDGERNN_SET("r5", "r6", "r7")
        EDGERNN_SET("r8", "r9", "r10")
        EDGERNN_END);
}

/* Three rows, two added: their scales, then scale and bias of the third. */
EDGERNN_ASSEMBLY edgernn_narrow_gru3(void) {
    __asm__ volatile(
        EDGERNN_BEGIN
        "clr r2\nclr r3\nclr r4\nclr r5\nclr r6\nclr r7\nclr r8\nclr r9\nclr r10\n"
        EDGERNN_BLOCK
        EDGERNN_FOUR("r2", "r3", "r4")
        EDGERNN_FOUR("r5", "r6", "r7")
        EDGERNN_FOUR("r8", "r9", "r10")
        EDGERNN_NEXT
        EDGERNN_ADD("r2", "r3", "r4")
        EDGERNN_ADD("r5", "r6", "r7")
        EDGERNN_SET("r8", "r9", "r10")
        EDGERNN_END);
}

/* One row: scale and bias. */
EDGERNN_ASSEMBLY edgernn_narrow_set1(void) {
    __asm__ volatile(
        EDGERNN_BEGIN
        "clr r2\nclr r3\nclr r4\n"
        EDGERNN_BLOCK
        EDGERNN_FOUR("r2", "r3", "r4")
        EDGERNN_NEXT
        EDGERNN_SET("r2", "r3", "r4")
        EDGERNN_END);
}

/* One row: its scale. */
EDGERNN_ASSEMBLY edgernn_narrow_add1(void) {
    __asm__ volatile(
        EDGERNN_BEGIN
        "clr r2\nclr r3\nclr r4\n"
        EDGERNN_BLOCK
        EDGERNN_FOUR("r2", "r3", "r4")
        EDGERNN_NEXT
        EDGERNN_ADD("r2", "r3", "r4")
        EDGERNN_END);
}

/* Calls one of these functions; whoever calls knows best what must be saved. */
#define EDGERNN_CALL(function, half, constants, p)                                                           \
    do {                                                                                                     \
        register const int8_t *w_ __asm__("r30") = (half)->w;                                                \
        register const int16_t *x_ __asm__("r26") = (half)->x;                                               \
        register uint8_t blocks_ __asm__("r24") = (uint8_t)(half)->blocks;                                   \
        register const int32_t *constants_ __asm__("r22") = (constants);                                     \
        register int32_t *p_ __asm__("r20") = (p);                                                           \
        __asm__ volatile("%~call %x5"                                                                        \
                         : "+r"(w_), "+r"(x_), "+r"(blocks_), "+r"(constants_), "+r"(p_)                     \
                         : "i"(function)                                                                     \
                         : "r0", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "r13", \
                           "r14", "r15", "r16", "r17", "r18", "r19", "r25", "memory");                       \
        (half)->w = w_;                                                                                      \
    } while (0)
#endif
