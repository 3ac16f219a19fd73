/* needs: sum_float math_float */
/* The mean of all frames so far, weighted with the exponentials of their scores, in groups of their own. Exponentials
 * are taken relative to `largest`, which moves only to a score that is more than 8 above it: so the sums are seldom
 * scaled, and scaling loses nothing that adds up.
 * Source: M. Milakov and N. Gimelshein, Online normalizer calculation for softmax, 2018. */
static void edgernn_running_softmax_float(const float *scores, const float *values, uint16_t groups, uint16_t size,
                                          edgernn_sum *largest, edgernn_sum *total, edgernn_sum *weighted, float *y) {
    for (uint16_t group = 0; group < groups; group++, values += size, weighted += size, y += size) {
        const float score = scores[group], rise = score - largest[group].high;
        if (rise > 8.0f) {
            const float decay = edgernn_exp(-rise);
            largest[group].high = score;
            total[group].high *= decay;
            total[group].low *= decay;
            for (uint16_t k = 0; k < size; k++) {
                weighted[k].high *= decay;
                weighted[k].low *= decay;
            }
        }
        const float weight = edgernn_exp(score - largest[group].high);
        edgernn_sum_add(&total[group], weight);
        for (uint16_t k = 0; k < size; k++) {
            edgernn_sum_add(&weighted[k], weight * (values[k] * EDGERNN_SUM_SCALE));
            y[k] = edgernn_saturate(weighted[k].high / total[group].high * EDGERNN_SUM_UNSCALE);
        }
    }
}
