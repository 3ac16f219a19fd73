/* needs: rows */
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

/* r20 shift - 17, r22:r21 multiplier, r23 high byte of the sum; r0:r14:r17:r16 takes bytes 5 to 2 of the product,
 * r19:r18 bytes 1 and 0. The last bit that is shifted out is the carry with which the addition to p rounds. */
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
