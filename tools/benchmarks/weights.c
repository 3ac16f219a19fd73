/* Reads memory as fast as the processor can: what a step must take at least for its weights. */
#include <stddef.h>

typedef float vec __attribute__((vector_size(4 * LANES)));

float sum(const float *weights, size_t count, size_t rounds) {
    vec sums[8] = {0};
    for (size_t round = 0; round < rounds; round++)
        for (size_t k = 0; k + 8 * LANES <= count; k += 8 * LANES)
            for (int part = 0; part < 8; part++) sums[part] += *(const vec *)(weights + k + part * LANES);
    float total = 0;
    for (int part = 0; part < 8; part++)
        for (int lane = 0; lane < LANES; lane++) total += sums[part][lane];
    return total;
}
