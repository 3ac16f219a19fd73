# SPDX-License-Identifier: 0BSD
if(CONFIG_EDGERNN_$PREFIX)
  zephyr_include_directories(../src)
  zephyr_library()
  zephyr_library_sources(../src/${prefix}.c)
  # without it the last bits of floats differ between chips
  zephyr_library_compile_options(-ffp-contract=off)
endif()
