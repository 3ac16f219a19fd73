/* needs: gates_int8 sigmoid_table */
/* 1 / (1 + exp(-x)), symmetric about one half; at least 16384 on the positive side, so 32768 - y fits. */
static int edgernn_sigmoid(int x) {
    const int y = edgernn_interpolate(edgernn_sigmoid_table, edgernn_magnitude(x));
    return x < 0 ? (int)(32768L - y) : y;
}
