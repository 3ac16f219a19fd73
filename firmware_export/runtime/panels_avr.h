/* needs: rows */
#if defined(__AVR__)
/* Panels in assembly, for what the 8-bit multiplier is quick at: sums, and their rescaling by 16-bit multipliers, which
 * are not negative. The carry of MULS and MULSU is the sign of the product.
 *
 * A function takes weights in Z, the operand in X, blocks in r25:r24, constants in r23:r22, p in r21:r20, and leaves
 * the weights of the next panel in Z. It multiplies, then rescales: Z constants, X p. */

/* A rescaled sum plus a bias becomes the next number of p, or is added to it; the carry rounds. */
#define EDGERNN_SET_BYTE(byte) \
    "lpm r18, Z+\n"            \
    "adc r18, " byte "\n"      \
    "st X+, r18\n"
#define EDGERNN_ADD_BYTE(byte) \
    "ld r18, X\n"              \
    "adc r18, " byte "\n"      \
    "st X+, r18\n"
#define EDGERNN_BYTES(DO, byte0, byte1, byte2, byte3) DO(byte0) DO(byte1) DO(byte2) DO(byte3)

/* Narrow: bytes times bytes, in sums of 24 bits, which hold 512 products. */
#define EDGERNN_NARROW_BLOCKS 128u
#define EDGERNN_NARROW_ROW1(DO) DO("r2", "r3", "r4")
#define EDGERNN_NARROW_ROW2(DO) DO("r5", "r6", "r7")
#define EDGERNN_NARROW_ROW3(DO) DO("r8", "r9", "r10")
#define EDGERNN_NARROW_ROW4(DO) DO("r11", "r12", "r13")
#define EDGERNN_NARROW_CLEAR(low, middle, high) "clr " low "\nclr " middle "\nclr " high "\n"

/* one column of a row */
#define EDGERNN_NARROW_COLUMN(x, low, middle, high) \
    "lpm r25, Z+\n"                                 \
    "muls r25, " x "\n"                             \
    "sbc r15, r15\n"                                \
    "add " low ", r0\n"                             \
    "adc " middle ", r1\n"                          \
    "adc " high ", r15\n"

/* four columns of a row */
#define EDGERNN_NARROW_FOUR(low, middle, high)      \
    EDGERNN_NARROW_COLUMN("r20", low, middle, high) \
    EDGERNN_NARROW_COLUMN("r22", low, middle, high) \
    EDGERNN_NARROW_COLUMN("r21", low, middle, high) \
    EDGERNN_NARROW_COLUMN("r23", low, middle, high)

#define EDGERNN_NARROW_BEGIN \
    "movw r18, r22\n"        \
    "movw r16, r20\n"
#define EDGERNN_NARROW_LOOP \
    "1: ld r20, X+\n"       \
    "ld r21, X+\n"          \
    "ld r22, X+\n"          \
    "ld r23, X+\n"
#define EDGERNN_NARROW_AGAIN \
    "dec r24\n"              \
    "breq 2f\n"              \
    "rjmp 1b\n"              \
    "2: movw r24, r30\n"     \
    "movw r30, r18\n"        \
    "movw r26, r16\n"
#define EDGERNN_NARROW_END \
    "movw r30, r24\n"      \
    "clr __zero_reg__\n"   \
    "ret\n"

/* A sum rescaled: r20 shift - 17, r22:r21 multiplier, r23 high byte of the sum. Bytes 5 to 2 of the product come to
 * r0:r14:r17:r16, bytes 1 and 0 to r19:r18; r17, then r14 hold no more than 127 where a carry goes to them. The last
 * bit that is shifted out stays in the carry. */
#define EDGERNN_NARROW_RESCALE(low, middle, high) \
    "lpm r20, Z+\n"                               \
    "adiw r30, 1\n"                               \
    "lpm r21, Z+\n"                               \
    "lpm r22, Z+\n"                               \
    "mov r23, " high "\n"                         \
    "clr r15\n"                                   \
    "mul " low ", r21\n"                          \
    "movw r18, r0\n"                              \
    "mul " middle ", r22\n"                       \
    "movw r16, r0\n"                              \
    "mul " middle ", r21\n"                       \
    "add r19, r0\n"                               \
    "adc r16, r1\n"                               \
    "adc r17, r15\n"                              \
    "mul " low ", r22\n"                          \
    "add r19, r0\n"                               \
    "adc r16, r1\n"                               \
    "adc r17, r15\n"                              \
    "mulsu r23, r22\n"                            \
    "mov r14, r1\n"                               \
    "add r17, r0\n"                               \
    "adc r14, r15\n"                              \
    "mulsu r23, r21\n"                            \
    "sbc r15, r15\n"                              \
    "add r16, r0\n"                               \
    "adc r17, r1\n"                               \
    "adc r14, r15\n"                              \
    "tst r20\n"                                   \
    "brpl 1f\n"                                   \
    "mov r0, r14\n"                               \
    "lsl r0\n"                                    \
    "sbc r0, r0\n"                                \
    "inc r20\n"                                   \
    "breq 2f\n"                                   \
    "0: lsl r18\n"                                \
    "rol r19\n"                                   \
    "rol r16\n"                                   \
    "rol r17\n"                                   \
    "rol r14\n"                                   \
    "rol r0\n"                                    \
    "inc r20\n"                                   \
    "brne 0b\n"                                   \
    "2: lsl r19\n"                                \
    "rjmp 3f\n"                                   \
    "1: asr r14\n"                                \
    "ror r17\n"                                   \
    "ror r16\n"                                   \
    "dec r20\n"                                   \
    "brpl 1b\n"                                   \
    "clr r0\n"                                    \
    "sbrc r14, 7\n"                               \
    "dec r0\n"                                    \
    "3:\n"
#define EDGERNN_NARROW_SET(low, middle, high) \
    EDGERNN_NARROW_RESCALE(low, middle, high) \
    EDGERNN_BYTES(EDGERNN_SET_BYTE, "r16", "r17", "r14", "r0")
#define EDGERNN_NARROW_ADD(low, middle, high) \
    EDGERNN_NARROW_RESCALE(low, middle, high) \
    EDGERNN_BYTES(EDGERNN_ADD_BYTE, "r16", "r17", "r14", "r0")

/* Wide: bytes times 16 bits, in sums of 32 bits. All registers are in use: what waits, waits on the stack. */
#define EDGERNN_WIDE_ROW1(DO) DO("r2", "r3", "r4", "r5")
#define EDGERNN_WIDE_ROW2(DO) DO("r6", "r7", "r8", "r9")
#define EDGERNN_WIDE_ROW3(DO) DO("r10", "r11", "r12", "r13")
#define EDGERNN_WIDE_ROW4(DO) DO("r14", "r15", "r22", "r23")
#define EDGERNN_WIDE_CLEAR(byte0, byte1, byte2, byte3) \
    "clr " byte0 "\nclr " byte1 "\nclr " byte2 "\nclr " byte3 "\n"

/* one column of a row: low and high byte of the operand */
#define EDGERNN_WIDE_COLUMN(low, high, byte0, byte1, byte2, byte3) \
    "lpm r20, Z+\n"                                                \
    "mulsu r20, " low "\n"                                         \
    "sbc r21, r21\n"                                               \
    "add " byte0 ", r0\n"                                          \
    "adc " byte1 ", r1\n"                                          \
    "adc " byte2 ", r21\n"                                         \
    "adc " byte3 ", r21\n"                                         \
    "muls r20, " high "\n"                                         \
    "sbc r21, r21\n"                                               \
    "add " byte1 ", r0\n"                                          \
    "adc " byte2 ", r1\n"                                          \
    "adc " byte3 ", r21\n"

/* four columns of a row */
#define EDGERNN_WIDE_FOUR(byte0, byte1, byte2, byte3)             \
    EDGERNN_WIDE_COLUMN("r16", "r24", byte0, byte1, byte2, byte3) \
    EDGERNN_WIDE_COLUMN("r18", "r26", byte0, byte1, byte2, byte3) \
    EDGERNN_WIDE_COLUMN("r17", "r25", byte0, byte1, byte2, byte3) \
    EDGERNN_WIDE_COLUMN("r19", "r27", byte0, byte1, byte2, byte3)

/* The low byte of the number of blocks counts down to zero before the high byte does. */
#define EDGERNN_WIDE_BEGIN \
    "push r28\n"           \
    "push r29\n"           \
    "push r22\n"           \
    "push r23\n"           \
    "push r20\n"           \
    "push r21\n"           \
    "movw r28, r26\n"      \
    "sbiw r24, 1\n"        \
    "inc r24\n"            \
    "push r25\n"           \
    "push r24\n"
#define EDGERNN_WIDE_LOOP \
    "1: ld r16, Y\n"      \
    "ldd r24, Y+1\n"      \
    "ldd r17, Y+2\n"      \
    "ldd r25, Y+3\n"      \
    "ldd r18, Y+4\n"      \
    "ldd r26, Y+5\n"      \
    "ldd r19, Y+6\n"      \
    "ldd r27, Y+7\n"      \
    "adiw r28, 8\n"
#define EDGERNN_WIDE_AGAIN \
    "pop r20\n"            \
    "dec r20\n"            \
    "breq 2f\n"            \
    "push r20\n"           \
    "rjmp 1b\n"            \
    "2: pop r21\n"         \
    "subi r21, 1\n"        \
    "brcs 3f\n"            \
    "push r21\n"           \
    "push r20\n"           \
    "rjmp 1b\n"            \
    "3: pop r27\n"         \
    "pop r26\n"            \
    "pop r25\n"            \
    "pop r24\n"            \
    "push r30\n"           \
    "push r31\n"           \
    "movw r30, r24\n"
#define EDGERNN_WIDE_END \
    "pop r31\n"          \
    "pop r30\n"          \
    "pop r29\n"          \
    "pop r28\n"          \
    "clr __zero_reg__\n" \
    "ret\n"

/* A sum rescaled: r20 shift - 17, r19:r18 multiplier, r21 high byte of the sum. Bytes 5 to 0 of the product come to
 * r29:r28:r17:r16:r25:r24, or bytes 6 to 1 where they are shifted left; r17, r28 and r29 hold no more than 127 where a
 * carry goes to them. Then bytes 6 to 3 are the result, and the last bit that is shifted out stays in the carry. */
#define EDGERNN_WIDE_RESCALE(byte0, byte1, byte2, byte3) \
    "lpm r20, Z+\n"                                      \
    "adiw r30, 1\n"                                      \
    "lpm r18, Z+\n"                                      \
    "lpm r19, Z+\n"                                      \
    "mov r21, " byte3 "\n"                               \
    "clr " byte3 "\n"                                    \
    "mul " byte0 ", r18\n"                               \
    "movw r24, r0\n"                                     \
    "mul " byte1 ", r19\n"                               \
    "movw r16, r0\n"                                     \
    "mul " byte0 ", r19\n"                               \
    "add r25, r0\n"                                      \
    "adc r16, r1\n"                                      \
    "adc r17, " byte3 "\n"                               \
    "mul " byte1 ", r18\n"                               \
    "add r25, r0\n"                                      \
    "adc r16, r1\n"                                      \
    "adc r17, " byte3 "\n"                               \
    "mul " byte2 ", r19\n"                               \
    "mov r28, r1\n"                                      \
    "add r17, r0\n"                                      \
    "adc r28, " byte3 "\n"                               \
    "mul " byte2 ", r18\n"                               \
    "add r16, r0\n"                                      \
    "adc r17, r1\n"                                      \
    "adc r28, " byte3 "\n"                               \
    "mulsu r21, r19\n"                                   \
    "mov r29, r1\n"                                      \
    "add r28, r0\n"                                      \
    "adc r29, " byte3 "\n"                               \
    "mulsu r21, r18\n"                                   \
    "sbc r21, r21\n"                                     \
    "add r17, r0\n"                                      \
    "adc r28, r1\n"                                      \
    "adc r29, r21\n"                                     \
    "mov r21, r29\n"                                     \
    "lsl r21\n"                                          \
    "sbc r21, r21\n"                                     \
    "subi r20, 7\n"                                      \
    "brge 1f\n"                                          \
    "0: lsl r24\n"                                       \
    "rol r25\n"                                          \
    "rol r16\n"                                          \
    "rol r17\n"                                          \
    "rol r28\n"                                          \
    "rol r29\n"                                          \
    "rol r21\n"                                          \
    "inc r20\n"                                          \
    "brne 0b\n"                                          \
    "1: lsl r16\n"                                       \
    "rjmp 3f\n"                                          \
    "2: asr r29\n"                                       \
    "ror r28\n"                                          \
    "ror r17\n"                                          \
    "3: dec r20\n"                                       \
    "brpl 2b\n"
#define EDGERNN_WIDE_SET(byte0, byte1, byte2, byte3) \
    EDGERNN_WIDE_RESCALE(byte0, byte1, byte2, byte3) \
    EDGERNN_BYTES(EDGERNN_SET_BYTE, "r17", "r28", "r29", "r21")
#define EDGERNN_WIDE_ADD(byte0, byte1, byte2, byte3) \
    EDGERNN_WIDE_RESCALE(byte0, byte1, byte2, byte3) \
    EDGERNN_BYTES(EDGERNN_ADD_BYTE, "r17", "r28", "r29", "r21")

/* The same for a panel of 1, 3 or 4 rows. */
#define EDGERNN_ROWS1(width, DO) EDGERNN_##width##_ROW1(EDGERNN_##width##_##DO)
#define EDGERNN_ROWS2(width, DO) EDGERNN_ROWS1(width, DO) EDGERNN_##width##_ROW2(EDGERNN_##width##_##DO)
#define EDGERNN_ROWS3(width, DO) EDGERNN_ROWS2(width, DO) EDGERNN_##width##_ROW3(EDGERNN_##width##_##DO)
#define EDGERNN_ROWS4(width, DO) EDGERNN_ROWS3(width, DO) EDGERNN_##width##_ROW4(EDGERNN_##width##_##DO)
#define EDGERNN_SUMS(width, rows)    \
    EDGERNN_##width##_BEGIN          \
    EDGERNN_ROWS##rows(width, CLEAR) \
    EDGERNN_##width##_LOOP           \
    EDGERNN_ROWS##rows(width, FOUR)  \
    EDGERNN_##width##_AGAIN
#define EDGERNN_ASSEMBLY __attribute__((naked, noinline, unused)) static void

/* Functions of a panel. Set: scale and bias of each row; add: scale of each; gru: scales of two that are added, then
 * scale and bias of the third. */
#define EDGERNN_PANELS(name, width)                                                               \
    EDGERNN_ASSEMBLY edgernn_##name##_set4(void) {                                                \
        __asm__ volatile(EDGERNN_SUMS(width, 4) EDGERNN_ROWS4(width, SET) EDGERNN_##width##_END); \
    }                                                                                             \
    EDGERNN_ASSEMBLY edgernn_##name##_add4(void) {                                                \
        __asm__ volatile(EDGERNN_SUMS(width, 4) EDGERNN_ROWS4(width, ADD) EDGERNN_##width##_END); \
    }                                                                                             \
    EDGERNN_ASSEMBLY edgernn_##name##_set3(void) {                                                \
        __asm__ volatile(EDGERNN_SUMS(width, 3) EDGERNN_ROWS3(width, SET) EDGERNN_##width##_END); \
    }                                                                                             \
    EDGERNN_ASSEMBLY edgernn_##name##_gru3(void) {                                                \
        __asm__ volatile(EDGERNN_SUMS(width, 3) EDGERNN_ROWS2(width, ADD)                         \
                         EDGERNN_##width##_ROW3(EDGERNN_##width##_SET) EDGERNN_##width##_END);    \
    }                                                                                             \
    EDGERNN_ASSEMBLY edgernn_##name##_set1(void) {                                                \
        __asm__ volatile(EDGERNN_SUMS(width, 1) EDGERNN_ROWS1(width, SET) EDGERNN_##width##_END); \
    }                                                                                             \
    EDGERNN_ASSEMBLY edgernn_##name##_add1(void) {                                                \
        __asm__ volatile(EDGERNN_SUMS(width, 1) EDGERNN_ROWS1(width, ADD) EDGERNN_##width##_END); \
    }
EDGERNN_PANELS(narrow, NARROW)
EDGERNN_PANELS(wide, WIDE)

/* Calls one of these functions; whoever calls knows best what must be saved. */
#define EDGERNN_CALL(function, half, constants, p)                                                           \
    do {                                                                                                     \
        register const int8_t *w_ __asm__("r30") = (half)->w;                                                \
        register const int16_t *x_ __asm__("r26") = (half)->x;                                               \
        register uint16_t blocks_ __asm__("r24") = (half)->blocks;                                           \
        register const int32_t *constants_ __asm__("r22") = (constants);                                     \
        register int32_t *p_ __asm__("r20") = (p);                                                           \
        __asm__ volatile("%~call %x5"                                                                        \
                         : "+r"(w_), "+r"(x_), "+r"(blocks_), "+r"(constants_), "+r"(p_)                     \
                         : "i"(function)                                                                     \
                         : "r0", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "r13", \
                           "r14", "r15", "r16", "r17", "r18", "r19", "memory");                              \
        (half)->w = w_;                                                                                      \
    } while (0)
#endif
