/* SPDX-License-Identifier: 0BSD
 *
 * Lets `edgernn verify --port` compare this board with the host: each packet of inputs is answered with a packet of
 * outputs, the microseconds that the step took as its time. A packet with sequence 0 begins anew.
 */
#ifndef ${PREFIX}_ANSWER_H
#define ${PREFIX}_ANSWER_H

#include "$file"
#include "edgernn_link.h"

typedef struct {
    ${prefix}_state state;
    edgernn_link_receiver received;
$buffers
    uint8_t values[$output_bytes];
    uint8_t packet[EDGERNN_LINK_BYTES($output_bytes)]; /* the answer */
} ${prefix}_answerer;

/* Takes one byte; returns the size of the answer in answerer->packet, 0 if there is none yet. */
static inline uint16_t ${prefix}_answer(${prefix}_answerer *answerer, uint8_t byte, uint32_t (*clock_us)(void)) {
    if (!edgernn_link_receive(&answerer->received, byte)) return 0;
    if (answerer->received.kind != $input_kind || answerer->received.value_bytes != $input_bytes) return 0;
    if (answerer->received.sequence == 0) ${prefix}_reset(&answerer->state);
    const uint8_t *from = edgernn_link_values(&answerer->received);
$read
    const uint32_t begin_us = clock_us();
    const int frames = ${prefix}_step(&answerer->state, $arguments);
    const uint32_t step_us = clock_us() - begin_us;
    (void)frames;
    uint8_t *to = answerer->values;
$write
    return edgernn_link_encode(answerer->packet, $output_kind, answerer->received.sequence, step_us, answerer->values,
                               (uint16_t)(to - answerer->values));
}

#endif
