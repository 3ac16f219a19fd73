"""Names and texts from a model as safe C: identifiers, comments, strings."""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_IDENTIFIER = 48

# one string each: a list of a hundred quoted words reads worse
C_WORDS = frozenset(
    (  # noqa: SIM905
        "auto break case char const continue default do double else enum extern float for goto if inline int long "
        "register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while "
        "asm fortran bool true false nullptr constexpr alignas alignof static_assert thread_local typeof typeof_unqual "
        "and and_eq bitand bitor catch class compl concept consteval constinit const_cast co_await co_return co_yield "
        "char8_t char16_t char32_t decltype delete dynamic_cast explicit export friend import module mutable namespace "
        "new noexcept not not_eq operator or or_eq private protected public reflexpr reinterpret_cast requires "
        "static_cast synchronized template this throw transaction_safe try typeid typename using virtual wchar_t xor "
        "xor_eq final override main errno assert offsetof NULL std stdin stdout stderr setjmp size_t ptrdiff_t "
        "intptr_t uintptr_t int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t"
    ).split()
)
# macros of compilers, C libraries and Arduino that would tear an identifier apart
MACROS = frozenset(
    "linux unix i386 arm mips sparc sun vax avr min max abs round sq bit DEFAULT INPUT OUTPUT F I".split()  # noqa: SIM905
)


def identifier(text: str, fallback: str = "model") -> str:
    """A C identifier that looks like `text`: ASCII letters, digits and underscores, no reserved word.

    Examples
    --------
    >>> identifier("gesture-v2"), identifier("int"), identifier("3d*/"), identifier("été"), identifier("!")
    ('gesture_v2', 'model_int', 'model_3d', 't', 'model')
    """
    name = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:MAX_IDENTIFIER].rstrip("_")
    if not name:
        return fallback
    if not name[0].isalpha() or name in C_WORDS or name in MACROS or name.lower() in C_WORDS:
        return f"{fallback}_{name}"
    return name


class CNames:
    """Identifiers that are unique among themselves, whatever case they are written in.

    Examples
    --------
    >>> names = Names(["state"])
    >>> names.add("x"), names.add("X"), names.add("state")
    ('x', 'X_2', 'state_2')
    """

    def __init__(self, taken: Iterable[str] = (), beginnings: Iterable[str] = ()) -> None:
        self._taken = {name.lower() for name in taken}
        self._beginnings = tuple(beginning.lower() for beginning in beginnings)

    def add(self, text: str, fallback: str = "value") -> str:
        """A new identifier that looks like `text`; one with a beginning of others gets another before it."""
        base = identifier(text, fallback)
        if base.lower().startswith(self._beginnings):
            base = f"{fallback}_{base}"
        name = base
        number = 1
        while name.lower() in self._taken:
            number += 1
            name = f"{base}_{number}"
        self._taken.add(name.lower())
        return name


def comment(text: str) -> str:
    """Text that can stand inside a C comment: one line, printable ASCII, nothing that ends or opens a comment.

    Examples
    --------
    >>> comment('a*/ int x;\\nb\\\\')
    'a* / int x; b/'
    """
    plain = "".join(character if " " <= character <= "~" else " " if character.isspace() else "?" for character in text)
    return re.sub(r"\?(?=\?)", "? ", plain.replace("\\", "/").replace("*/", "* /").replace("/*", "/ *"))


def string(text: str) -> str:
    """A C string literal with the UTF-8 bytes of `text`; no byte can end it or start a trigraph.

    Examples
    --------
    >>> string('say "hi"\\n')
    '"say \\\\"hi\\\\"\\\\012"'
    """
    safe = {ord('"'): '\\"', ord("\\"): "\\\\", ord("?"): "\\?"}
    encoded = text.encode("utf-8", errors="replace")
    return '"' + "".join(safe.get(b) or (chr(b) if 32 <= b < 127 else f"\\{b:03o}") for b in encoded) + '"'
