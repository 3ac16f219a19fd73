#ifndef EDGERNN_DECISION
#define EDGERNN_DECISION
/* what decisions remember from output to output */
typedef struct {
    uint16_t outputs, position; /* in the ring, up to its length; where the next goes */
    int32_t recognized, candidate; /* labels, -1 for none */
    uint32_t held, hold_off;     /* outputs that the candidate has qualified; outputs without events that are left */
} edgernn_decision;
#endif
