/* Services on an ATmega in simavr: UART 0, and the simulator's own cycle counter behind general purpose registers. */
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>

#include "port.h"

extern unsigned char _end; /* of the variables; from avr-libc's linker script */

void port_write(const char *text) {
    UBRR0 = 0;
    UCSR0B = _BV(TXEN0);
    for (; *text; text++) {
        while (!(UCSR0A & _BV(UDRE0))) {
        }
        UDR0 = (uint8_t)*text;
    }
}

void port_exit(int status) {
    while (!(UCSR0A & _BV(UDRE0))) {
    }
    GPIOR0 = (uint8_t)status; /* the runner ends at this write */
    cli();
    sleep_mode();
}

/* A write to GPIOR1 makes the runner remember the cycle; each read of GPIOR2 then gives one byte of it. */
uint32_t port_ticks(void) {
    GPIOR1 = 1;
    uint32_t cycle = GPIOR2;
    cycle |= (uint32_t)GPIOR2 << 8;
    cycle |= (uint32_t)GPIOR2 << 16;
    cycle |= (uint32_t)GPIOR2 << 24;
    return cycle;
}

uint32_t port_elapsed(uint32_t begin, uint32_t end) { return end - begin; }

unsigned char *port_stack_limit(void) { return &_end; }
