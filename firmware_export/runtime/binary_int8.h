static inline int32_t edgernn_add_int8(int32_t a, int32_t b) { return a + b; }
static inline int32_t edgernn_sub_int8(int32_t a, int32_t b) { return a - b; }
static inline int32_t edgernn_min_int8(int32_t a, int32_t b) { return a < b ? a : b; }
static inline int32_t edgernn_max_int8(int32_t a, int32_t b) { return a > b ? a : b; }
