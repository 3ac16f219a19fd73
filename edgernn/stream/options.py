"""Options behind the question mark of an address, as the constructor that takes them declares them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from edgernn.errors import ConfigError


def known_options(constructor: Callable[..., Any]) -> dict[str, Any]:
    """The options that an address may give: name and type of each keyword of `constructor`.

    `clock` and `on_notice` come from the program, never from an address.
    """
    signature = inspect.signature(constructor, eval_str=True)
    return {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in {"clock", "on_notice"}
    }


def convert_options(constructor: Callable[..., Any], options: Mapping[str, str], address: str) -> dict[str, Any]:
    """Keyword arguments for `constructor` from the texts in `options`.

    Raises
    ------
    ConfigError
        An option is unknown or not of the declared type.
    """
    known = known_options(constructor)
    converted = {}
    for name, text in options.items():
        if name not in known:
            raise ConfigError(f"{address}: there is no option {name!r}; known are {', '.join(known) or 'none'}")
        try:
            converted[name] = msgspec.convert(text, known[name], strict=False)
        except msgspec.ValidationError as error:
            raise ConfigError(f"{address}: option {name} is {text!r}: {error}") from error
    return converted
