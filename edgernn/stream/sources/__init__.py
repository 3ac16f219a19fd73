"""Sources: where bytes come from.

To add one: a module with a subclass of `edgernn.stream.sources.base.Source`, whose constructor takes the location and
its options as keywords, and a line in `SOURCES`; from another package, an entry point in the group ``edgernn.sources``.
"""

from __future__ import annotations

from edgernn.stream.clock import Clock, SystemClock
from edgernn.stream.options import convert_options
from edgernn.stream.plugins import Plugins
from edgernn.stream.sources.address import parse_address
from edgernn.stream.sources.base import Source

# scheme -> module:class, imported when used
SOURCES: dict[str, str] = {
    "serial": "edgernn.stream.sources.serial_port:SerialSource",
    "replay": "edgernn.stream.sources.replay:ReplaySource",
    "tcp": "edgernn.stream.sources.network:TcpSource",
    "udp": "edgernn.stream.sources.network:UdpSource",
    "stdin": "edgernn.stream.sources.stdin:StdinSource",
}
PLUGINS = Plugins("edgernn.sources", SOURCES)
SERIAL_OPTIONS = frozenset({"baud", "dtr", "rts", "settle_s", "format"})


def make_source(address: str, *, clock: Clock | None = None, baud: int | None = None) -> tuple[Source, str | None]:
    """The source that an address names, not opened yet, and the format that the address names, if any.

    Parameters
    ----------
    address : str
        Such as ``serial:///dev/ttyACM0?baud=115200&format=csv``, ``/dev/ttyACM0``, ``COM3``, ``replay:///path``,
        ``tcp://host:port``, ``udp://host:port``, ``stdin:``.
    clock : Clock, optional
    baud : int, optional
        For a serial port whose address names none.

    Raises
    ------
    ConfigError
        The address, or one of its options, is not understood.
    MissingPackageError
        The source belongs to another package, which cannot be imported.

    Examples
    --------
    >>> source, format_name = make_source("serial:///dev/ttyUSB0?baud=9600&format=csv")
    >>> source.name, format_name
    ('/dev/ttyUSB0', 'csv')
    """
    parts = parse_address(address, frozenset(PLUGINS.names()), SERIAL_OPTIONS)
    options = dict(parts.options)
    format_name = options.pop("format", None)
    if parts.scheme == "serial" and baud is not None:
        options.setdefault("baud", str(baud))
    kind = PLUGINS.find(parts.scheme)
    converted = convert_options(kind, options, f"source {address}")
    source: Source = kind(parts.location, clock=clock or SystemClock(), **converted)
    return source, format_name
