/* needs: saturate_float */
/* Sums of ten million numbers: the rounding error of each addition is kept in a second float (Knuth's TwoSum). Sums are
 * kept 2^-32 as large as they are, so that 2^32 of the largest numbers do not overflow.
 * Source: D. E. Knuth, The Art of Computer Programming 2, 4.2.2. Never compile it with -ffast-math. */
#define EDGERNN_SUM_SCALE 2.32830644e-10f
#define EDGERNN_SUM_UNSCALE 4294967296.0f

static inline void edgernn_sum_add(edgernn_sum *sum, float x) {
    const float high = sum->high + x, back = high - sum->high;
    const float error = (sum->high - (high - back)) + (x - back);
    const float low = sum->low + error;
    sum->high = high + low;
    sum->low = low - (sum->high - high);
}
