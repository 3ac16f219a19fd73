/* What a test program needs from the machine it runs on. One file per machine implements it. */
#ifndef PORT_H
#define PORT_H

#include <stdint.h>

/* Text for the person or the test that started the program. */
void port_write(const char *text);

/* A counter that runs with instructions or cycles; only differences have a meaning. 0 where nothing can be counted. */
uint32_t port_ticks(void);

/* The difference of two readings, in ticks: counters differ in width and direction. */
uint32_t port_elapsed(uint32_t begin, uint32_t end);

/* The lowest address that the stack may grow to; NULL where the stack is not measured. */
unsigned char *port_stack_limit(void);

/* Ends the program; the emulator's exit status becomes `status`. */
void port_exit(int status);

#endif
