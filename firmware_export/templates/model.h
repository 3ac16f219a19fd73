/* SPDX-License-Identifier: 0BSD
 *
$banner
 *
 * In one C file, and in one only:      #define ${PREFIX}_IMPLEMENTATION
 * there and wherever it is used:       #include "$file"
 *
 *     static ${prefix}_state state;
 *     ${prefix}_reset(&state);
 *     for (;;) { ... if (${prefix}_step(&state, $arguments)) { ... } }
 *
 * All memory is in the state that the caller owns; nothing else is allocated. One state serves one stream.
 */
#ifndef ${PREFIX}_H
#define ${PREFIX}_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef EDGERNN_ALIGNED /* operands of matrix products are read as words */
#if defined(__GNUC__)
#define EDGERNN_ALIGNED __attribute__((aligned(4)))
#else
#define EDGERNN_ALIGNED
#endif
#endif

$declarations
#ifdef __cplusplus
}
#endif

#endif /* ${PREFIX}_H */

#if defined(${PREFIX}_IMPLEMENTATION) && !defined(${PREFIX}_IMPLEMENTED)
#define ${PREFIX}_IMPLEMENTED

#if defined(EDGERNN_RUNTIME) && EDGERNN_RUNTIME != $fingerprint
#error "models that different versions of edgernn exported need a C file each"
#endif
#define EDGERNN_RUNTIME $fingerprint

$runtime
$tables

#ifdef __cplusplus
extern "C" {
#endif

$functions
#ifdef __cplusplus
}
#endif

#endif /* ${PREFIX}_IMPLEMENTATION */
