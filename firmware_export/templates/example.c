/* SPDX-License-Identifier: 0BSD
 *
 * Reads samples from standard input, one line of $channels numbers with commas between for each, and prints $what.
 */
#include <stdio.h>
#include <stdlib.h>

#include "$file"

static ${prefix}_state state;

int main(void) {
    char line[$line_bytes];
    $input_type input[$channels];
    $output_type output[$outputs];
    ${prefix}_reset(&state);
    while (fgets(line, sizeof line, stdin)) {
        char *at = line;
        int channel = 0;
        for (; channel < $channels; channel++) {
            char *end;
            input[channel] = ($input_type)$parse;
            if (end == at) break;
            at = *end == ',' ? end + 1 : end;
        }
        if (channel < $channels) continue; /* not a whole line */
$normalise        if (!${prefix}_step(&state, $step_input, output)) continue;
$react    }
$flush    return 0;
}
