/* Services on an operating system: the host itself, and Linux programs for other processors under QEMU. */
#include <stdio.h>
#include <stdlib.h>

#include "port.h"

void port_write(const char *text) { fputs(text, stdout); }

void port_exit(int status) { exit(status); }

uint32_t port_ticks(void) { return 0; }

uint32_t port_elapsed(uint32_t begin, uint32_t end) { return end - begin; }

unsigned char *port_stack_limit(void) { return NULL; }
