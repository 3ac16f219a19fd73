/* needs: platform */
/* What remains of a after taking away whole b, with the sign of a: exact, as every difference here is. */
static float edgernn_mod(float a, float b) {
    const float divisor = b < 0.0f ? -b : b;
    float rest = a < 0.0f ? -a : a;
    if (!(divisor > 0.0f) || !(rest <= 3.4028235e38f)) return (rest - rest) / 0.0f; /* not a number */
    if (divisor > 3.4028235e38f) return a;
    float part = divisor;
    while (part <= rest - part) part += part;
    for (; rest >= divisor; part *= 0.5f) {
        if (rest >= part) rest -= part;
    }
    return a < 0.0f ? -rest : rest;
}
