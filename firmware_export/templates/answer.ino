// SPDX-License-Identifier: 0BSD
//
// Answers packets of inputs with packets of outputs, for `edgernn verify --port`.
#include <${prefix}_answer.h>

static ${prefix}_answerer answerer;

static uint32_t clock_us() { return micros(); }

void setup() {
    Serial.begin(115200);
    ${prefix}_reset(&answerer.state);
}

void loop() {
    while (Serial.available()) {
        const uint16_t size = ${prefix}_answer(&answerer, (uint8_t)Serial.read(), clock_us);
        if (size) Serial.write(answerer.packet, size);
    }
}
