static inline int32_t edgernn_add(int32_t a, int32_t b) { return a + b; }
static inline int32_t edgernn_sub(int32_t a, int32_t b) { return a - b; }
static inline int32_t edgernn_min(int32_t a, int32_t b) { return a < b ? a : b; }
static inline int32_t edgernn_max(int32_t a, int32_t b) { return a > b ? a : b; }
