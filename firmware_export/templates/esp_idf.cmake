# SPDX-License-Identifier: 0BSD
idf_component_register(SRCS "src/${prefix}.c" INCLUDE_DIRS "src")
# without it the last bits of floats differ between chips
target_compile_options($${COMPONENT_LIB} PRIVATE -ffp-contract=off)
