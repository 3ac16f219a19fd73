"""The user under which a service runs: one of its own, or the owner of its files where these are closed to others."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from edgernn.errors import ConfigError

HOMES = ("/home", "/root", "/run/user")


class Account(NamedTuple):
    """Who runs the service.

    Attributes
    ----------
    user : str or None
        Name of a user; None for one that systemd makes for the service.
    reason : str
        Why, for people.
    needs_home : bool
        Whether a file lies in a home.
    written : tuple of Path
        Folders in which it writes, beside its state directory.
    """

    user: str | None
    reason: str
    needs_home: bool
    written: tuple[Path, ...]


def choose_account(read: Iterable[Path], outputs: Iterable[Path], state_folder: Path) -> Account:
    """The user who can read the files and write the outputs of a service.

    Parameters
    ----------
    read : iterable of Path
        Files and folders that must be readable.
    outputs : iterable of Path
        Files that are written.
    state_folder : Path
        The service's own folder, which systemd makes.

    Raises
    ------
    ConfigError
        A file is missing, or files are closed to each other's owners.
    """
    read, folders = [path.absolute() for path in read], {path.absolute().parent for path in outputs}
    written = tuple(sorted(folder for folder in folders if folder != state_folder))
    closed = {path: barrier for path in read if (barrier := _barrier(path)) is not None}
    owners = {_owner(barrier): f"{barrier} is closed to other users" for barrier in closed.values()}
    owners |= {_owner(folder): f"outputs are written to {folder}" for folder in written}
    needs_home = any(path.is_relative_to(home) for path in (*read, *written) for home in HOMES)
    if not owners:
        return Account(None, "a user of the service's own: all files that it reads are open to all", needs_home, ())
    if len(owners) > 1:
        raise ConfigError(
            f"no user can run the service: {', and '.join(f'{why} ({owner})' for owner, why in owners.items())}; move "
            f"the files to a folder that all may read, and outputs to {state_folder}"
        )
    ((user, why),) = owners.items()
    reason = (
        f"the user {user}, because {why}; with files that all may read and outputs in {state_folder} it has its own"
    )
    return Account(user, reason, needs_home, written)


def _barrier(path: Path) -> Path | None:
    """What keeps others from reading a path: the path itself or a folder above it; None where nothing does."""
    resolved = path.resolve()
    try:
        mode = resolved.stat().st_mode
        for part in reversed(resolved.parents):
            if not part.stat().st_mode & stat.S_IXOTH:
                return part
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    needed = stat.S_IROTH | (stat.S_IXOTH if stat.S_ISDIR(mode) else 0)
    return None if mode & needed == needed else resolved


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except (KeyError, OSError) as error:
        raise ConfigError(f"the owner of {path} is not known: {error}") from error
