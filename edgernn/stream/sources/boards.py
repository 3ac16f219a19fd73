"""Boards: what opening the port does to each family, by the USB id of the chip behind the port.

On boards with a separate USB chip the lines DTR and RTS are wired to the reset. A board with its own USB sends only
while DTR is on.
"""

from __future__ import annotations

import msgspec


class BoardFamily(msgspec.Struct, frozen=True):
    """How to open the port of a board.

    Attributes
    ----------
    name : str
        What to call the family.
    dtr, rts : bool
        Levels of the control lines at opening.
    settle_s : float
        Seconds after opening in which what comes is dropped: the rest of a line, words of the boot loader.
    """

    name: str
    dtr: bool
    rts: bool
    settle_s: float


# opening resets it; its boot loader waits for about 1.6 s
UNO = BoardFamily("Arduino with a USB chip", dtr=True, rts=True, settle_s=2.0)
# both lines off leave the reset circuit alone; DTR or RTS alone would hold it in reset or in the boot loader
ESP = BoardFamily("ESP32 or ESP8266 with a USB chip", dtr=False, rts=False, settle_s=0.0)
NATIVE = BoardFamily("board with its own USB", dtr=True, rts=True, settle_s=0.0)

# USB vendor and product, or vendor alone -> family; the CH340 (1a86:7523) is on boards of both kinds, mostly on Unos
FAMILIES: dict[str, BoardFamily] = {
    "2341:0001": UNO,  # Uno
    "2341:0010": UNO,  # Mega 2560
    "2341:0042": UNO,  # Mega 2560 R3
    "2341:0043": UNO,  # Uno R3
    "2a03": UNO,
    "1a86:7523": UNO,  # CH340
    "0403:6001": UNO,  # FT232R
    "10c4:ea60": ESP,  # CP2102
    "1a86:55d4": ESP,  # CH9102
    "2341": NATIVE,  # Leonardo, Micro, Nano 33, MKR
    "2886": NATIVE,  # Seeed Xiao
    "239a": NATIVE,  # Adafruit
    "2e8a": NATIVE,  # Raspberry Pi Pico
    "303a": NATIVE,  # ESP32-S2, S3 and C3 with their own USB
    "16c0:0483": NATIVE,  # Teensy
}


def board_family(usb_id: str | None) -> BoardFamily | None:
    """The family of a port with this USB id; None if it is not known.

    Examples
    --------
    >>> board_family("2341:0043").settle_s, board_family("2341:8036").name, board_family("ffff:0000")
    (2.0, 'board with its own USB', None)
    """
    if usb_id is None:
        return None
    return FAMILIES.get(usb_id) or FAMILIES.get(usb_id.partition(":")[0])
