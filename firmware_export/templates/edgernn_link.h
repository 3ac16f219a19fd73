/* SPDX-License-Identifier: 0BSD
 *
 * Packets between a board and edgernn: the format `cobs`. All numbers little-endian:
 *
 *     kind of values (1 is int16, 2 is float32), sequence uint16, time uint32 in microseconds, the values,
 *     CRC-16/IBM-3740 of all that
 *
 * stuffed so that no byte is zero (consistent overhead byte stuffing), then one zero byte. Sending:
 *
 *     static uint8_t packet[EDGERNN_LINK_BYTES(6 * sizeof(int16_t))];
 *     size = edgernn_link_encode(packet, EDGERNN_LINK_INT16, sequence++, micros(), values, 6 * sizeof(int16_t));
 *     Serial.write(packet, size);
 */
#ifndef EDGERNN_LINK_H
#define EDGERNN_LINK_H

#include <stdint.h>

enum {
    EDGERNN_LINK_INT16 = 1,
    EDGERNN_LINK_FLOAT = 2,
    EDGERNN_LINK_HEADER = 7,       /* bytes before the values */
    EDGERNN_LINK_CRC = 2,
    EDGERNN_LINK_MOST_VALUES = 240 /* bytes of values in one packet: it must be stuffed in one piece */
};

/* Bytes of a packet on the wire. */
#define EDGERNN_LINK_BYTES(value_bytes) (EDGERNN_LINK_HEADER + (value_bytes) + EDGERNN_LINK_CRC + 2)

/* A packet that arrives byte by byte, and the one that arrived. */
typedef struct {
    uint8_t bytes[EDGERNN_LINK_BYTES(EDGERNN_LINK_MOST_VALUES)];
    uint16_t length;      /* bytes so far */
    uint16_t value_bytes; /* of the packet that arrived; the values begin at edgernn_link_values() */
    uint8_t kind;
    uint16_t sequence;
    uint32_t time_us;
} edgernn_link_receiver;

/* CRC-16/IBM-3740: polynomial 0x1021, begins with 0xFFFF. */
static inline uint16_t edgernn_link_crc(const uint8_t *bytes, uint16_t count) {
    uint16_t crc = 0xFFFFu;
    while (count--) {
        crc = (uint16_t)(crc ^ ((uint16_t)*bytes++ << 8));
        for (uint8_t bit = 0; bit < 8; bit++) {
            crc = (uint16_t)((crc & 0x8000u) ? ((uint16_t)(crc << 1) ^ 0x1021u) : (uint16_t)(crc << 1));
        }
    }
    return crc;
}

/* Writes a packet of at most EDGERNN_LINK_MOST_VALUES bytes of values; returns its size on the wire. */
static inline uint16_t edgernn_link_encode(uint8_t *packet, uint8_t kind, uint16_t sequence, uint32_t time_us,
                                           const void *values, uint16_t value_bytes) {
    uint8_t *const body = packet + 1;
    const uint8_t *const from = (const uint8_t *)values;
    uint16_t count = EDGERNN_LINK_HEADER, zero = 0; /* place of the last byte that stands for a zero */
    body[0] = kind;
    body[1] = (uint8_t)sequence;
    body[2] = (uint8_t)(sequence >> 8);
    for (uint8_t k = 0; k < 4; k++) body[3 + k] = (uint8_t)(time_us >> (8 * k));
    for (uint16_t k = 0; k < value_bytes; k++) body[count++] = from[k];
    const uint16_t crc = edgernn_link_crc(body, count);
    body[count++] = (uint8_t)crc;
    body[count++] = (uint8_t)(crc >> 8);
    for (uint16_t k = 1; k <= count; k++) {
        if (packet[k] == 0) {
            packet[zero] = (uint8_t)(k - zero);
            zero = k;
        }
    }
    packet[zero] = (uint8_t)(count + 1u - zero);
    packet[count + 1u] = 0;
    return (uint16_t)(count + 2u);
}

/* The stuffing taken out in place, header and CRC read; 0 if the packet is damaged. */
static inline int edgernn_link_decode(edgernn_link_receiver *packet, uint16_t length) {
    uint16_t at = 0;
    if (length < 1 + EDGERNN_LINK_HEADER + EDGERNN_LINK_CRC) return 0;
    while (at < length) {
        const uint8_t step = packet->bytes[at];
        if (step == 0 || at + step > length) return 0;
        packet->bytes[at] = 0;
        at = (uint16_t)(at + step);
    }
    const uint8_t *const body = packet->bytes + 1;
    const uint16_t count = (uint16_t)(length - 1u - EDGERNN_LINK_CRC);
    if (edgernn_link_crc(body, count) != (uint16_t)(body[count] | (uint16_t)body[count + 1u] << 8)) return 0;
    packet->kind = body[0];
    packet->sequence = (uint16_t)(body[1] | (uint16_t)body[2] << 8);
    packet->time_us = 0;
    for (uint8_t k = 0; k < 4; k++) packet->time_us |= (uint32_t)body[3 + k] << (8 * k);
    packet->value_bytes = (uint16_t)(count - EDGERNN_LINK_HEADER);
    return 1;
}

/* Takes one byte; returns 1 when it completes an intact packet. A damaged packet is dropped. */
static inline int edgernn_link_receive(edgernn_link_receiver *packet, uint8_t byte) {
    if (byte != 0) {
        if (packet->length < sizeof packet->bytes) packet->bytes[packet->length] = byte;
        if (packet->length <= sizeof packet->bytes) packet->length++;
        return 0;
    }
    const uint16_t length = packet->length;
    packet->length = 0;
    return length <= sizeof packet->bytes && edgernn_link_decode(packet, length);
}

/* The values of the packet that arrived. */
static inline const uint8_t *edgernn_link_values(const edgernn_link_receiver *packet) {
    return packet->bytes + 1 + EDGERNN_LINK_HEADER;
}

#endif
