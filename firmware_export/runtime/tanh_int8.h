/* needs: gates_int8 tanh_table */
static int edgernn_tanh(int x) {
    const int y = edgernn_interpolate(edgernn_tanh_table, edgernn_magnitude(x));
    return x < 0 ? -y : y;
}
