/* needs: gates_int8 */
static void edgernn_unary_int8(const int16_t *x, uint32_t count, edgernn_function function, int16_t *y) {
    for (uint32_t k = 0; k < count; k++) y[k] = (int16_t)function(x[k]);
}
