/* SPDX-License-Identifier: 0BSD
 *
 * Runs $steps real steps of $prefix and compares each output with the numbers computed on the desk.
 * On a desk: cc -std=c99 selftest.c && ./a.out. On a chip: call selftest() and look at what it returns.
 */
#define ${PREFIX}_IMPLEMENTATION
#include "$file"

#define SELFTEST_STEPS ${steps}u
#define SELFTEST_FIRST ${first}u /* step of the first output */
#define SELFTEST_EVERY ${every}u /* steps between outputs */

static ${prefix}_state selftest_state;
$buffers

$tables

static void selftest_reset(void) { ${prefix}_reset(&selftest_state); }

/* Takes the inputs of a step out of the tables. */
static void selftest_load(uint32_t step) {
    uint32_t k;
$load
}

static int selftest_call(void) { return ${prefix}_step(&selftest_state, $arguments); }

/* Index of the first number that differs in the outputs of a step, counted over all outputs; -1 if all are equal. */
static int32_t selftest_compare(uint32_t step, int frames) {
    const int expected = step + 1 > SELFTEST_FIRST && (step - SELFTEST_FIRST) % SELFTEST_EVERY == 0;
    if (frames != expected) return 0;
    if (expected) {
        const uint32_t output = (step - SELFTEST_FIRST) / SELFTEST_EVERY;
        uint32_t k;
$compare
    }
    return -1;
}

#ifndef SELFTEST_PARTS
#include <stdio.h>

/* 0 if all steps are equal, else 1 + the first step that differs. */
static uint32_t selftest(void) {
    selftest_reset();
    for (uint32_t step = 0; step < SELFTEST_STEPS; step++) {
        selftest_load(step);
        if (selftest_compare(step, selftest_call()) >= 0) return step + 1;
    }
    return 0;
}

int main(void) {
    const uint32_t failed = selftest();
    if (failed) {
        printf("$prefix: step %lu differs\n", (unsigned long)(failed - 1));
        return 1;
    }
    printf("$prefix: %lu steps equal\n", (unsigned long)SELFTEST_STEPS);
    return 0;
}
#endif
