/* Start-up code and services for every Cortex-M that QEMU emulates: vector table, semihosting, SysTick as counter. */
#include "port.h"

extern uint32_t data_load[], data_begin[], data_end[], bss_begin[], bss_end[], stack_top[];

int main(void);

#define CPACR (*(volatile uint32_t *)0xE000ED88u)
#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)
#define SYSTICK_MASK 0xFFFFFFu

enum { SYS_WRITE0 = 0x04, SYS_EXIT_EXTENDED = 0x20, APPLICATION_EXIT = 0x20026 };

static void semihosting(uint32_t operation, const void *argument) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

void port_write(const char *text) { semihosting(SYS_WRITE0, text); }

void port_exit(int status) {
    const uint32_t block[2] = {APPLICATION_EXIT, (uint32_t)status};
    semihosting(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}

uint32_t port_ticks(void) { return SYST_CVR; }

uint32_t port_elapsed(uint32_t begin, uint32_t end) { return (begin - end) & SYSTICK_MASK; /* it counts down */ }

unsigned char *port_stack_limit(void) { return (unsigned char *)bss_end; }

static void fault(void) {
    port_write("fault\n");
    port_exit(99);
}

void reset_handler(void);

__attribute__((noreturn)) void reset_handler(void) {
    const uint32_t *from = data_load;
    for (uint32_t *to = data_begin; to < data_end;) *to++ = *from++;
    for (uint32_t *to = bss_begin; to < bss_end;) *to++ = 0;
#if __ARM_FP
    CPACR |= 0xFu << 20; /* switch on the floating-point unit */
    __asm__ volatile("dsb\nisb");
#endif
    SYST_RVR = SYSTICK_MASK;
    SYST_CVR = 0;
    SYST_CSR = 5; /* on, counts the processor's clock, no interrupt */
    port_exit(main());
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    stack_top, (void *)reset_handler, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault,
};
