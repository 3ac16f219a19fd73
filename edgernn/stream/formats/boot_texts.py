"""Lines of text by which a board says that it has just begun."""

from __future__ import annotations

import re

MAX_BOOT_TEXTS = 32  # lines before the first sample that are remembered

# what boot loaders and firmware print first: ESP-IDF, ESP8266, MicroPython, CircuitPython, Zephyr, Mbed, NuttX, U-Boot
_BOOT_LOADERS = re.compile(
    rb"\s*(?:ets [A-Z][a-z]{2} +\d|ESP-ROM:|rst:0x|rst cause:|MicroPython v\d|Adafruit CircuitPython \d"
    rb"|\*\*\* Booting |Booting |mbed OS|NuttShell|U-Boot )"
)


class BootTexts:
    """Knows the lines that a board prints when it begins: those of common boot loaders, and those seen at its start.

    Examples
    --------
    >>> texts = BootTexts()
    >>> texts.announce((b"my gadget 1.2",))  # before the first sample: nothing began again
    False
    >>> texts.announce((b"battery 80 %",)), texts.announce((b"my gadget 1.2",)), texts.announce((b"rst:0x1",))
    (False, True, True)
    """

    def __init__(self) -> None:
        self._known: set[bytes] = set()
        self._has_begun = False

    def announce(self, texts: tuple[bytes, ...]) -> bool:
        """Whether these lines, which came before a sample, say that the board has begun once more."""
        if not self._has_begun:
            self._has_begun = True
            self._known = {text.strip() for text in texts[-MAX_BOOT_TEXTS:]}
            return False
        return bool(texts) and any(text.strip() in self._known or _BOOT_LOADERS.match(text) for text in texts)
