// SPDX-License-Identifier: 0BSD
//
// Reads samples from Serial, one line of $channels numbers with commas between for each, and prints $what.
// For an IMU on the board itself, fill `input` from its library in loop() and call take_sample().
#include <${prefix}.h>
#include <stdlib.h>

static ${prefix}_state state;
static $input_type input[$channels];
static $output_type output[$outputs];
static char line[$line_bytes];
static uint8_t length;

static void take_sample() {
$normalise    if (!${prefix}_step(&state, $step_input, output)) return;
$react}

static void take_line() {
    char *at = line;
    for (uint8_t channel = 0; channel < $channels; channel++) {
        char *end;
        input[channel] = ($input_type)$parse;
        if (end == at) return; // fewer numbers than channels: not a whole line
        at = *end == ',' ? end + 1 : end;
    }
    take_sample();
}

void setup() {
    Serial.begin(115200);
    ${prefix}_reset(&state);
    Serial.println(F("ready"));
}

void loop() {
    while (Serial.available()) {
        const char character = (char)Serial.read();
        if (character == '\n') {
            line[length] = '\0';
            length = 0;
            take_line();
        } else if (length + 1u < sizeof line) {
            line[length++] = character;
        }
    }
}
