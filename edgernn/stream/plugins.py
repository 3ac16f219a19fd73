"""Plugins: sources, formats and sinks by name, edgernn's own and those of other packages, imported when used.

Another package declares them as entry points, in the groups ``edgernn.sources``, ``edgernn.formats`` and
``edgernn.sinks``::

    [project.entry-points."edgernn.formats"]
    mine = "my_package.formats:MyFormat"
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from edgernn.errors import MissingPackageError


class Plugins:
    """Classes by name.

    Parameters
    ----------
    group : str
        Of entry points.
    own : mapping of str to str
        Edgernn's own: name to ``module:class``. They come before those of other packages.
    """

    def __init__(self, group: str, own: Mapping[str, str]) -> None:
        self._group, self._own = group, own

    @cached_property
    def _others(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self._group) if point.name not in self._own}

    def names(self) -> tuple[str, ...]:
        """All names, edgernn's own first. Nothing is imported."""
        return (*self._own, *sorted(self._others))

    def find(self, name: str) -> Any:
        """The class of this name; None if there is none.

        Raises
        ------
        MissingPackageError
            It belongs to another package, and cannot be imported.
        """
        if name in self._own:
            module, attribute = self._own[name].split(":")
            return getattr(import_module(module), attribute)
        point = self._others.get(name)
        if point is None:
            return None
        package = "an unknown package" if point.dist is None else f"the package {point.dist.name}"
        try:
            return point.load()
        except Exception as error:
            raise MissingPackageError(
                f"{name!r} of {self._group} belongs to {package} ({point.value}), which cannot be imported: "
                f"{type(error).__name__}: {error}; repair or remove that package"
            ) from error
