#ifndef EDGERNN_SUM
#define EDGERNN_SUM
/* a number of 48 bits: the sum of two floats, of which the high one is the number rounded */
typedef struct {
    float high, low;
} edgernn_sum;
#endif
