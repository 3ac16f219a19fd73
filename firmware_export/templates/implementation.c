/* SPDX-License-Identifier: 0BSD */
#define ${PREFIX}_IMPLEMENTATION
#include "$file"
