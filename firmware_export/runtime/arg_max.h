/* needs: platform */
/* Index of the largest of `count` numbers, or the smallest; of equal ones the first, or the last. */
static int32_t edgernn_arg_max_NUMBER(const NUMBER *x, uint16_t count, int last, int smallest) {
    uint16_t best = 0;
    for (uint16_t k = 1; k < count; k++) {
        const NUMBER above = smallest ? x[best] : x[k], below = smallest ? x[k] : x[best];
        if (above > below || (last && above == below)) best = k;
    }
    return best;
}
