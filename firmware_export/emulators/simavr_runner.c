/* Runs an AVR program in simavr.
 *
 * simavr_runner MCU HZ PROGRAM.elf        text of UART 0 to stdout; ends with the status that the program writes to
 *                                         GPIOR0, 98 if it crashes; a write to GPIOR1 latches the cycle counter, reads
 *                                         of GPIOR2 give its bytes
 * simavr_runner MCU HZ PROGRAM.elf --pty  UART 0 on a pseudo terminal whose path is printed first; runs until killed,
 *                                         no faster than the clock on the wall
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "avr_uart.h"
#include "parts/uart_pty.h"
#include "sim_avr.h"
#include "sim_elf.h"

enum { GPIOR0 = 0x3E, GPIOR1 = 0x4A, GPIOR2 = 0x4B }; /* the same on ATmega328P and ATmega2560 */

static int exit_status = -1;
static uint64_t latched_cycle;

static void on_exit_status(struct avr_t *avr, avr_io_addr_t address, uint8_t value, void *unused) {
    (void)avr, (void)address, (void)unused;
    exit_status = value;
}

static void on_latch(struct avr_t *avr, avr_io_addr_t address, uint8_t value, void *unused) {
    (void)address, (void)value, (void)unused;
    latched_cycle = avr->cycle;
}

static uint8_t on_read_cycle(struct avr_t *avr, avr_io_addr_t address, void *unused) {
    (void)avr, (void)address, (void)unused;
    const uint8_t byte = (uint8_t)latched_cycle;
    latched_cycle >>= 8;
    return byte;
}

static void on_uart_byte(struct avr_irq_t *irq, uint32_t value, void *unused) {
    (void)irq, (void)unused;
    putchar((int)value);
}

static void quiet(avr_t *avr, const int level, const char *format, va_list arguments) {
    (void)avr;
    if (level == LOG_ERROR) vfprintf(stderr, format, arguments);
}

static double now_s(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int run_to_end(avr_t *avr) {
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), on_uart_byte, NULL);
    uint32_t flags = 0; /* simavr echoes the UART as coloured lines unless told not to */
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
    while (exit_status < 0) {
        const int state = avr_run(avr);
        if (state == cpu_Done || state == cpu_Crashed) {
            fprintf(stderr, "the program %s at cycle %llu\n", state == cpu_Crashed ? "crashed" : "slept for ever",
                    (unsigned long long)avr->cycle);
            return 98;
        }
    }
    fflush(stdout);
    return exit_status;
}

static int run_on_pty(avr_t *avr) {
    uart_pty_t uart;
    uart_pty_init(avr, &uart);
    uart_pty_connect(&uart, '0');
    printf("%s\n", uart.pty.slavename);
    fflush(stdout);
    const double begin_s = now_s();
    for (uint64_t next = 0;;) {
        const int state = avr_run(avr);
        if (state == cpu_Done || state == cpu_Crashed) _exit(98); /* uart_pty_stop() may hang */
        if (avr->cycle < next) continue;
        const double ahead_s = (double)avr->cycle / avr->frequency - (now_s() - begin_s);
        if (ahead_s > 0.001) usleep((useconds_t)(ahead_s * 1e6));
        next = avr->cycle + avr->frequency / 1000;
    }
}

int main(int count, char **arguments) {
    if (count < 4) {
        fprintf(stderr, "usage: %s MCU HZ PROGRAM.elf [--pty]\n", arguments[0]);
        return 2;
    }
    avr_global_logger_set(quiet);
    elf_firmware_t firmware;
    memset(&firmware, 0, sizeof firmware);
    if (elf_read_firmware(arguments[3], &firmware) != 0) return 97;
    avr_t *avr = avr_make_mcu_by_name(arguments[1]);
    if (avr == NULL) return 97;
    avr_init(avr);
    avr->frequency = (uint32_t)strtoul(arguments[2], NULL, 10);
    avr_load_firmware(avr, &firmware);
    avr_register_io_write(avr, GPIOR0, on_exit_status, NULL);
    avr_register_io_write(avr, GPIOR1, on_latch, NULL);
    avr_register_io_read(avr, GPIOR2, on_read_cycle, NULL);
    return count > 4 && strcmp(arguments[4], "--pty") == 0 ? run_on_pty(avr) : run_to_end(avr);
}
