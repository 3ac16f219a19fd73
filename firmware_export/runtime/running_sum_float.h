/* needs: sum_float */
/* The sum of all frames so far, or their mean. A mean of 2147483647 frames forgets what came first: the count stays. */
static void edgernn_running_sum_float(const float *x, uint16_t size, edgernn_sum *total, int64_t *count, int mean,
                                      float *y) {
    const int full = *count >= INT32_MAX;
    if (!full) ++*count;
    const float frames = (float)(int32_t)*count;
    for (uint16_t k = 0; k < size; k++) {
        if (mean && full) edgernn_sum_add(&total[k], -(total[k].high / frames));
        edgernn_sum_add(&total[k], x[k] * EDGERNN_SUM_SCALE);
        y[k] = edgernn_saturate((mean ? total[k].high / frames : total[k].high) * EDGERNN_SUM_UNSCALE);
    }
}
