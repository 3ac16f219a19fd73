"""Every emulated machine runs a program, tells its exit status, and counts what it says it counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgernn.errors import ExportError
from firmware_export.emulators import EMULATORS, Emulator, build, run

PROGRAM = """
#include "port.h"
static void number(uint32_t value) {
    char text[12], *at = text + 11;
    *at = 0;
    do *--at = (char)('0' + value % 10); while (value /= 10);
    port_write(at);
    port_write("\\n");
}
int main(void) {
    uint32_t begin = port_ticks();
    number(port_elapsed(begin, port_ticks()));
    begin = port_ticks();
    __asm__ volatile(".rept 1000\\n nop\\n .endr");
    number(port_elapsed(begin, port_ticks()));
    port_exit(37);
    return 0;
}
"""


@pytest.mark.parametrize("name", EMULATORS)
def test_a_thousand_instructions_are_counted(name: str, machine: Callable[[str], Emulator], tmp_path: Path) -> None:
    emulator = machine(name)
    source = tmp_path / "program.c"
    source.write_text(PROGRAM)
    build(emulator, [source], tmp_path / "program")
    done = run(emulator, tmp_path / "program")
    assert done.status == 37
    nothing, thousand = (float(int(line) / emulator.ticks_per_count) for line in done.text.split())
    if emulator.counts is not None:
        assert thousand - nothing == pytest.approx(1000, abs=2)


def test_a_warning_is_an_error(machine: Callable[[str], Emulator], tmp_path: Path) -> None:
    source = tmp_path / "program.c"
    source.write_text("int main(void) { int unused; return 0; }")
    with pytest.raises(ExportError, match="unused variable"):
        build(machine("host"), [source], tmp_path / "program")


def test_a_program_that_does_not_end_is_stopped(machine: Callable[[str], Emulator], tmp_path: Path) -> None:
    source = tmp_path / "program.c"
    source.write_text("int main(void) { for (;;) {} }")
    build(machine("host"), [source], tmp_path / "program")
    with pytest.raises(ExportError, match="did not end within"):
        run(machine("host"), tmp_path / "program", timeout_s=0.5)


def test_undefined_behaviour_is_seen(machine: Callable[[str], Emulator], tmp_path: Path) -> None:
    source = tmp_path / "program.c"
    source.write_text("int main(int count, char **words) { (void)words; return (0x7fffffff - 1 + count * 3) == 0; }")
    build(machine("host"), [source], tmp_path / "program")
    done = run(machine("host"), tmp_path / "program")
    assert done.status != 0
    assert "signed integer overflow" in done.text
