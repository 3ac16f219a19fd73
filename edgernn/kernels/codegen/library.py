"""Compiled kernels by name: taken from the disk cache, compiled with Numba where they are not there.

A kernel is a native function. Once compiled, its object code is kept in a file, and the next process links that file
through LLVM alone, without importing Numba: a warm start costs milliseconds. Only what a program needs is compiled.

The cache is a folder of the user's own (``EDGERNN_CACHE_DIR``, else ``$XDG_CACHE_HOME/edgernn``, else
``~/.cache/edgernn``). The name of a file holds a digest of everything that the code depends on: all sources of this
package, the processor and the versions of Numba and LLVM. Its content begins with its own digest, so that a file cut
short by a power failure is noticed and made again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import tempfile
import threading
import time
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import llvmlite.binding as llvm

from edgernn.kernels.codegen.target import processor, target_machine

log = logging.getLogger("edgernn")

DIGEST_BYTES = 32
KERNELS = Path(__file__).parents[1]


class Kernel(NamedTuple):
    """The name of a native function: ``build(*options)`` of a module of `edgernn.kernels` makes it."""

    module: str
    options: tuple[str, ...] = ()

    @property
    def symbol(self) -> str:
        """The function's name in object code."""
        return "_".join(("edgernn", self.module.replace(".", "_"), *self.options))


_lock = threading.Lock()
_addresses: dict[Kernel, int] = {}


def address_of(kernel: Kernel) -> int:
    """Address of a kernel's native function in this process.

    Raises
    ------
    PermissionError
        Another user may write to the cache folder.
    """
    with _lock:
        if kernel not in _addresses:
            _addresses[kernel] = _link(kernel, _cached(kernel))
        return _addresses[kernel]


def cache_folder() -> Path:
    """Folder of the compiled kernels."""
    if chosen := os.environ.get("EDGERNN_CACHE_DIR"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgernn"


def _cached(kernel: Kernel) -> bytes:
    """Object code of a kernel, from the cache or new."""
    folder = _prepared_folder(cache_folder())
    path = folder and folder / f"{kernel.symbol}-{_key()}.o"
    if path is not None and (code := _read(path)) is not None:
        return code
    from edgernn.kernels.codegen.compiler import compile_kernel  # imports Numba

    _say_once("compiling kernels for this processor, once: some seconds (`edgernn warm MODEL` does it ahead)")
    begin = time.perf_counter()
    code = compile_kernel(kernel.module, kernel.options, kernel.symbol)
    log.info("compiled %s in %.1f s", kernel.symbol, time.perf_counter() - begin)
    if path is not None:
        _write(path, code)
    return code


def _prepared_folder(folder: Path) -> Path | None:
    """The folder, made where it is missing; None where it cannot be used, after saying so."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OSError("it is not writable")
    except OSError as error:
        _say_once(f"kernels are compiled again in every process, because {folder} cannot be used: {error}")
        return None
    if os.name == "posix":
        status = folder.stat()
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError(
                f"another user may write to {folder}, where compiled kernels are kept: "
                f"give it to yourself (chmod go-w {folder}) or set EDGERNN_CACHE_DIR to your own folder"
            )
    return folder


@cache
def _say_once(message: str) -> None:
    """Say it on stderr, or wherever the logger "edgernn" was told to."""
    log.warning(message)


@cache
def _key() -> str:
    """Digest of everything that object code depends on."""
    digest = hashlib.sha256(repr((processor(), version("numba"), version("llvmlite"))).encode())
    for source in sorted(KERNELS.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:24]


def _read(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    code = content[DIGEST_BYTES:]
    return code if hashlib.sha256(code).digest() == content[:DIGEST_BYTES] else None


def _write(path: Path, code: bytes) -> None:
    """Write under another name first, so that other processes never see half a file."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(hashlib.sha256(code).digest() + code)
        Path(file.name).replace(path)
    except OSError as error:
        _say_once(f"compiled kernels could not be kept in {path.parent}: {error}")


@cache
def _engine() -> llvm.ExecutionEngine:
    module = llvm.parse_assembly("")
    module.triple = processor().triple
    return llvm.create_mcjit_compiler(module, target_machine())


def _link(kernel: Kernel, code: bytes) -> int:
    """Add object code to the process; the address of its function."""
    _engine().add_object_file(llvm.ObjectFileRef.from_data(code))
    address = _engine().get_function_address(kernel.symbol)
    return int(address)
