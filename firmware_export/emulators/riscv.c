/* Start-up code and services for RISC-V in QEMU: semihosting, the count of retired instructions. */
#include "port.h"

extern unsigned char bss_end[];

int main(void);

enum { SYS_WRITE0 = 0x04, SYS_EXIT_EXTENDED = 0x20, APPLICATION_EXIT = 0x20026 };

__asm__(".section .text.start\n"
        ".globl start\n"
        "start:\n"
        "  la sp, stack_top\n"
        "  la t0, bss_begin\n"
        "  la t1, bss_end\n"
        "1: bgeu t0, t1, 2f\n"
        "  sw zero, 0(t0)\n"
        "  addi t0, t0, 4\n"
        "  j 1b\n"
        "2: call main\n"
        "  call port_exit\n"
        ".text\n");

/* The three instructions must not be compressed nor straddle a page, or QEMU takes the ebreak for a real one. */
__attribute__((noinline)) static void semihosting(uint32_t operation, const void *argument) {
    register uint32_t a0 __asm__("a0") = operation;
    register const void *a1 __asm__("a1") = argument;
    __asm__ volatile(".option push\n.option norvc\n.balign 16\n"
                     "slli x0, x0, 0x1f\nebreak\nsrai x0, x0, 7\n"
                     ".option pop"
                     : "+r"(a0)
                     : "r"(a1)
                     : "memory");
}

void port_write(const char *text) { semihosting(SYS_WRITE0, text); }

void port_exit(int status) {
    const uint32_t block[2] = {APPLICATION_EXIT, (uint32_t)status};
    semihosting(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}

uint32_t port_ticks(void) {
    uint32_t count;
    __asm__ volatile(".option push\n.option arch, +zicsr\ncsrr %0, minstret\n.option pop" : "=r"(count));
    return count;
}

uint32_t port_elapsed(uint32_t begin, uint32_t end) { return end - begin; }

unsigned char *port_stack_limit(void) { return bss_end; }
