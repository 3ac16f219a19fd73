/* Runs an export's self-test on a machine, and as many steps of made-up inputs as are asked for, and reports as lines
 * of "name number...". Compiled with the folder of the export and of ports.h, which describes its inputs and outputs,
 * as include paths; RANDOM_STEPS, CHECKPOINT_STEPS, TRACE_FROM and TRACE_TO come from the command line. */
#define SELFTEST_PARTS
#include "port.h"
#include "selftest.c"

/* An input or output: `count` numbers of an input, bytes of an output. Made-up inputs are noise of 16 bits times `unit`
 * if they are float, else times `factor` / 2^`shift`, in `bytes` bytes. */
typedef struct {
    void *data;
    uint16_t count;
    float unit;
    int32_t factor;
    uint8_t shift, bytes;
} harness_port;
#include "ports.h" /* harness_inputs, harness_outputs */

static void write_number(int32_t value) {
    char text[13];
    char *at = text + sizeof text - 1;
    uint32_t magnitude = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
    *at = '\0';
    do {
        *--at = (char)('0' + magnitude % 10u);
        magnitude /= 10u;
    } while (magnitude);
    if (value < 0) *--at = '-';
    port_write(" ");
    port_write(at);
}

static void report(const char *name, uint32_t first, uint32_t second) {
    port_write(name);
    write_number((int32_t)first);
    write_number((int32_t)second);
    port_write("\n");
}

/* Fills free stack with a pattern and tells later how far down it was overwritten. Kept out of line: each call sees the
 * stack of its caller. */
enum { STACK_PATTERN = 0xA5, STACK_SLACK = 48 };

__attribute__((noinline)) static void paint_stack(void) {
    volatile unsigned char here = 0;
    const uintptr_t end = (uintptr_t)&here - STACK_SLACK;
    for (uintptr_t at = (uintptr_t)port_stack_limit(); at < end; at++) *(volatile unsigned char *)at = STACK_PATTERN;
}

__attribute__((noinline)) static uint32_t used_stack(void) {
    volatile unsigned char here = 0;
    const uintptr_t end = (uintptr_t)&here;
    uintptr_t at = (uintptr_t)port_stack_limit();
    while (at < end && *(volatile unsigned char *)at == STACK_PATTERN) at++;
    return (uint32_t)(end - at);
}

static int run_selftest(void) {
    uint32_t least = UINT32_MAX, most = 0, ticks_of_nothing = port_ticks();
    ticks_of_nothing = port_elapsed(ticks_of_nothing, port_ticks());
    selftest_reset();
    for (uint32_t step = 0; step < SELFTEST_STEPS; step++) {
        selftest_load(step);
        const uint32_t begin = port_ticks();
        const int frames = selftest_call();
        const uint32_t ticks = port_elapsed(begin, port_ticks()) - ticks_of_nothing;
        if (ticks < least) least = ticks;
        if (ticks > most) most = ticks;
        const int32_t different = selftest_compare(step, frames);
        if (different >= 0) {
            report("differs", step, (uint32_t)different);
            return 1;
        }
    }
    const int32_t missing = selftest_finish();
    if (missing >= 0) {
        report("differs", SELFTEST_STEPS, (uint32_t)missing);
        return 1;
    }
    report("equal", SELFTEST_STEPS, 0);
    report("ticks", least, most);
    if (port_stack_limit()) {
        selftest_reset();
        selftest_load(0);
        paint_stack();
        selftest_call();
        report("stack", used_stack(), 0);
    }
    return 0;
}

#if RANDOM_STEPS
static uint32_t random_bits = 1;

/* Noise whose strength changes every 64 steps, from full range down to 1/128 of it. Marsaglia's xorshift. */
static void fill_inputs(uint32_t step) {
    for (uint8_t port = 0; port < sizeof harness_inputs / sizeof harness_inputs[0]; port++) {
        const harness_port *const input = &harness_inputs[port];
        for (uint16_t k = 0; k < input->count; k++) {
            random_bits ^= random_bits << 13;
            random_bits ^= random_bits >> 17;
            random_bits ^= random_bits << 5;
            const int32_t noise = (int32_t)(int16_t)(random_bits >> 16) >> (step >> 6 & 7u);
            if (input->unit != 0.0f) {
                ((float *)input->data)[k] = (float)noise * input->unit;
            } else {
                const int32_t number = (noise * input->factor) >> input->shift;
                if (input->bytes == 2) {
                    ((int16_t *)input->data)[k] = (int16_t)number;
                } else {
                    ((int32_t *)input->data)[k] = number;
                }
            }
        }
    }
}

static uint32_t checksum = 2166136261u; /* Fowler, Noll and Vo's, 32 bits */

static void add_outputs(int frames) {
    for (uint8_t port = 0; port < sizeof harness_outputs / sizeof harness_outputs[0]; port++) {
        const unsigned char *const bytes = (const unsigned char *)harness_outputs[port].data;
        if (!selftest_new(port, frames)) continue;
        for (uint32_t k = 0; k < harness_outputs[port].count; k++) checksum = (checksum ^ bytes[k]) * 16777619u;
    }
}

static void trace_outputs(uint32_t step, int frames) {
    port_write("output");
    write_number((int32_t)step);
    for (uint8_t port = 0; port < sizeof harness_outputs / sizeof harness_outputs[0]; port++) {
        const unsigned char *const bytes = (const unsigned char *)harness_outputs[port].data;
        if (!selftest_new(port, frames)) continue;
        for (uint32_t k = 0; k < harness_outputs[port].count; k++) write_number(bytes[k]);
    }
    port_write("\n");
}

static void run_random(void) {
    const uint32_t trace_from = TRACE_FROM, trace_to = TRACE_TO;
    selftest_reset();
    for (uint32_t step = 0; step < RANDOM_STEPS; step++) {
        fill_inputs(step);
        const int frames = selftest_call();
        if (frames) {
            add_outputs(frames);
            if (step >= trace_from && step < trace_to) trace_outputs(step, frames);
        }
        if ((step + 1) % CHECKPOINT_STEPS == 0) report("checksum", step, checksum);
    }
}
#endif

int main(void) {
    const int status = run_selftest();
#if RANDOM_STEPS
    run_random();
#endif
    port_exit(status);
    return status;
}
