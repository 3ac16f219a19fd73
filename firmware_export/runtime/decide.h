/* Scores in 1/32768 to events: moving average, threshold with hysteresis, minimum length, hold-off, a label that means
 * nothing. `ring` holds `smoothing` outputs of `labels` scores. Returns whether there is an event: its label is then
 * memory->recognized. */
static int edgernn_decide(edgernn_decision *memory, uint16_t *ring, int32_t *sums, const uint16_t *scores,
                          uint16_t labels, uint16_t smoothing, int32_t threshold, int32_t release, uint32_t minimum,
                          uint32_t hold_off, int32_t nothing) {
    uint16_t *const oldest = ring + (uint32_t)memory->position * labels;
    uint16_t top = 0;
    for (uint16_t k = 0; k < labels; k++) {
        sums[k] += (int32_t)scores[k] - oldest[k]; /* zero while the ring fills */
        oldest[k] = scores[k];
        if (sums[k] > sums[top]) top = k;
    }
    memory->position = (uint16_t)(memory->position + 1u < smoothing ? memory->position + 1u : 0u);
    if (memory->outputs < smoothing) memory->outputs++;
    if (memory->recognized >= 0 && sums[memory->recognized] < memory->outputs * release) memory->recognized = -1;
    if (top != nothing && sums[top] >= memory->outputs * threshold) {
        if (memory->candidate != top) memory->held = 0;
        memory->candidate = top;
        if (memory->held < UINT32_MAX) memory->held++;
    } else {
        memory->candidate = -1;
        memory->held = 0;
    }
    if (memory->hold_off) {
        memory->hold_off--;
        return 0;
    }
    if (memory->candidate < 0 || memory->held < minimum || memory->recognized == top) return 0;
    memory->recognized = top;
    memory->hold_off = hold_off;
    return 1;
}
