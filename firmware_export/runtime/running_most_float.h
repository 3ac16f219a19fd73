/* needs: joins_float */
/* The largest or smallest number of all frames so far. */
static void edgernn_running_most_float(const float *x, uint16_t size, edgernn_sum *total, int64_t *count,
                                       edgernn_float_join join, float *y) {
    if (*count < INT32_MAX) ++*count;
    for (uint16_t k = 0; k < size; k++) y[k] = total[k].high = join(total[k].high, x[k]);
}
