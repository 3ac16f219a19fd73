"""Sinks: where events go.

To add one: a module with a subclass of `edgernn.stream.sinks.base.Sink`, whose constructor takes the location and its
options as keywords, and a line in `SINKS`; from another package, an entry point in the group ``edgernn.sinks``.
A keyword `on_notice` gets a function that reports a sentence to the user.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from edgernn.errors import ConfigError
from edgernn.stream.options import convert_options
from edgernn.stream.plugins import Plugins
from edgernn.stream.sinks.base import Sink

# scheme -> module:class, imported when used
SINKS: dict[str, str] = {
    "stdout": "edgernn.stream.sinks.stdout:StdoutSink",
    "file": "edgernn.stream.sinks.file:FileSink",
}
PLUGINS = Plugins("edgernn.sinks", SINKS)


def make_sink(address: str, *, on_notice: Callable[[str], None] | None = None) -> Sink:
    """The sink that an address names: ``stdout:?format=json``, ``events.jsonl``, ``file:///log/events.csv?rotate=5``.

    Raises
    ------
    ConfigError
        The address, or one of its options, is not understood, or the file cannot be written.
    MissingPackageError
        The sink belongs to another package, which cannot be imported.
    """
    location, _, query = address.partition("?")
    scheme, separator, rest = location.partition(":")
    if separator and scheme in PLUGINS.names():
        location = rest.removeprefix("//")
    elif separator and "://" in location:
        raise ConfigError(
            f"output {address}: there is no kind of output {scheme!r}; known are {', '.join(PLUGINS.names())}"
        )
    else:
        scheme = "file"
    kind = PLUGINS.find(scheme)
    options: dict[str, Any] = convert_options(kind, dict(parse_qsl(query, keep_blank_values=True)), address)
    if "on_notice" in inspect.signature(kind).parameters:
        options["on_notice"] = on_notice
    sink: Sink = kind(location, **options)
    return sink


def file_of(address: str) -> Path | None:
    """The file that an address names; None for one of another kind.

    Examples
    --------
    >>> str(file_of("file:///log/events.csv?rotate=5")), file_of("stdout:")
    ('/log/events.csv', None)
    """
    location = address.partition("?")[0]
    scheme, separator, rest = location.partition(":")
    if separator and scheme == "file":
        return Path(rest.removeprefix("//"))
    return None if separator and (scheme in SINKS or "://" in location) else Path(location)
