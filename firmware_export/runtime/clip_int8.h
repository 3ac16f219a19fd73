/* needs: gates_int8 */
static inline int edgernn_clip(int x, int low, int high) { return x < low ? low : x > high ? high : x; }
