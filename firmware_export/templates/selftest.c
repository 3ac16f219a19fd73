/* SPDX-License-Identifier: 0BSD
 *
 * Runs $steps real steps of $prefix and compares each output with the numbers computed on the host.
 * On a host: cc -std=c99 selftest.c && ./a.out. On a chip: call selftest() and look at what it returns.
 */
#define ${PREFIX}_IMPLEMENTATION
#include "$file"

#define SELFTEST_STEPS ${steps}u

static ${prefix}_state selftest_state;
$buffers

$tables

static uint32_t selftest_frames[$count]; /* of each output that were compared */

static void selftest_reset(void) {
    ${prefix}_reset(&selftest_state);
    for (uint16_t output = 0; output < $count; output++) selftest_frames[output] = 0;
}

/* Takes the inputs of a step out of the tables. */
static void selftest_load(uint32_t step) {
    uint32_t k;
$load
}

static int selftest_call(void) { return ${prefix}_step(&selftest_state, $arguments); }

/* New frames of an output after a call that returned `frames`. */
static int selftest_new(uint8_t output, int frames) {
    (void)output;
    (void)frames;
    return $new_frames;
}

/* Whether an output that first comes at a step, and then after every so many steps, comes at this one. */
static inline int selftest_due(uint32_t step, uint32_t first, uint32_t every) {
    return step >= first && (step - first) % every == 0;
}

/* Index of the first number that differs in the outputs of a call, counted over all outputs; -1 if all are equal. */
static int32_t selftest_compare(uint32_t step, int frames) {
    uint32_t k;
$compare
    return -1;
}

/* The same for what comes after the last step, and for frames that are missing. */
static int32_t selftest_finish(void) {
$finish
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
    return selftest_finish() >= 0 ? SELFTEST_STEPS + 1 : 0;
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
