/* Whatever a state was set to, it is used within its range. */
static inline int64_t edgernn_limit64(int64_t x, int64_t low, int64_t high) {
    return x < low ? low : x > high ? high : x;
}
