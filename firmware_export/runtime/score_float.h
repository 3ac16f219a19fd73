/* A probability in 1/32768, to nearest; what is not a number counts as 0. */
static uint16_t edgernn_score(float score) {
    const float scaled = score * 32768.0f;
    if (!(scaled > 0.0f)) return 0;
    if (scaled >= 32768.0f) return 32768u;
    const uint16_t whole = (uint16_t)scaled;
    return (uint16_t)(whole + (scaled - (float)whole >= 0.5f));
}
