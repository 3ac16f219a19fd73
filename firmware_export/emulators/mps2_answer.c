/* Runs the packet answerer of an export on QEMU's MPS2 boards, whose first UART is QEMU's serial line.
 * ANSWER_HEADER and MODEL come from the command line. */
#include ANSWER_HEADER
#include "port.h"

#define JOIN(left, right) left##right
#define NAME(model, part) JOIN(model, part)

#define UART_DATA (*(volatile uint32_t *)0x40004000u)
#define UART_STATE (*(volatile uint32_t *)0x40004004u) /* bit 0 sending buffer full, bit 1 receiving buffer full */
#define UART_CONTROL (*(volatile uint32_t *)0x40004008u)
#define UART_DIVIDER (*(volatile uint32_t *)0x40004010u)
#define TICKS_PER_US 25u

static uint32_t last_ticks, passed_ticks;

static uint32_t clock_us(void) {
    const uint32_t now = port_ticks();
    passed_ticks += port_elapsed(last_ticks, now);
    last_ticks = now;
    return passed_ticks / TICKS_PER_US;
}

int main(void) {
    static NAME(MODEL, _answerer) answerer;
    UART_DIVIDER = 217; /* 115200 at 25 MHz */
    UART_CONTROL = 3;
    NAME(MODEL, _reset)(&answerer.state);
    for (;;) {
        while (!(UART_STATE & 2u)) {
        }
        const uint16_t size = NAME(MODEL, _answer)(&answerer, (uint8_t)UART_DATA, clock_us);
        for (uint16_t k = 0; k < size; k++) {
            while (UART_STATE & 1u) {
            }
            UART_DATA = answerer.packet[k];
        }
    }
}
