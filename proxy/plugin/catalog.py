"""Which plugins are installed: names to classes, loaded on first use."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from copy import copy
from importlib.metadata import EntryPoint, entry_points
from traceback import walk_tb
from typing import Any, NamedTuple

from proxy.errors import ConfigError
from proxy.plugin.adapter import adapt_middleware
from proxy.plugin.base import Plugin
from proxy.plugin.dropins import NAMESPACE, DropIn, DropInError, begin_anew, class_of

GROUP = "brain_gateway.plugins"


class Origin(NamedTuple):
    """Where a plugin comes from: a distribution and its version, or a file of `plugins_dir`."""

    where: str
    version: str | None


class Catalog:
    """Finds plugin classes by the name used in YAML, or by `module:attr`.

    An entry point is imported when its name is first asked for, so that a plugin that no file names
    costs nothing. Two distributions with one name refuse the load.
    """

    def __init__(self, points: Iterable[EntryPoint] | None = None) -> None:
        self._points: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=GROUP) if points is None else points:
            known = self._points.setdefault(point.name, [])
            if all(point.value != other.value for other in known):
                known.append(point)
        self._read: tuple[DropIn, ...] = ()
        self._dropins: dict[str, DropIn] = {}
        self._classes: dict[str, type[Plugin]] = {}

    @property
    def dropins(self) -> tuple[DropIn, ...]:
        """The files of `plugins_dir` that it was made with."""
        return self._read

    def with_dropins(self, dropins: Iterable[DropIn]) -> Catalog:
        """Return a catalog that has `dropins` too, in place of those of any earlier load."""
        dropins = tuple(dropins)
        begin_anew(dropins)
        fresh = copy(self)
        fresh._take(dropins)  # noqa: SLF001  a copy of its own kind
        return fresh

    def _take(self, dropins: tuple[DropIn, ...]) -> None:
        self._read = dropins
        kept = self._classes.items()
        self._classes = {
            reference: found
            for reference, found in kept
            if reference not in self._dropins and not _is_private(reference)
        }
        self._dropins = {each.name: each for each in dropins if not each.helps}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._points, *self._dropins}))

    def __contains__(self, name: object) -> bool:
        return name in self._points or name in self._dropins

    def get(self, name: str) -> type[Plugin]:
        """Return the class that `name` means.

        Raises KeyError for a name that nothing installs; ConfigError when two distributions claim
        it, when its import fails, or when it is not a Plugin; DropInError for a drop-in of which
        the like is true.
        """
        if name not in self._classes:
            dropin = self._dropins.get(name)
            if dropin is None:
                self._classes[name] = self._load(name, self._points[name])
            else:
                self._classes[name] = self._load_dropin(dropin)
        return self._classes[name]

    def origin(self, name: str) -> Origin:
        """Return where the plugin `name` comes from. Raises KeyError for a name of no plugin."""
        if name in self._dropins:
            return Origin(self._dropins[name].file, None)
        dist = self._points[name][0].dist
        return Origin(self._owners(name), None if dist is None else dist.version)

    def _owners(self, name: str) -> str:
        return " and ".join(sorted(_owner(point) for point in self._points[name]))

    def named(self, name: str, use: str | None) -> type[Plugin]:
        """Return the class of an entry: `use` as `module:attr` where given, else the entry point."""
        return self.use(use) if use else self.get(name)

    def use(self, reference: str) -> type[Plugin]:
        """Return the class for `module:attr`: a Plugin, or any aiohttp middleware, adapted.

        Raises ConfigError when it can't be imported or is neither.
        """
        if reference not in self._classes:
            self._classes[reference] = _as_plugin(_import(reference), reference)
        return self._classes[reference]

    def _load(self, name: str, points: list[EntryPoint]) -> type[Plugin]:
        if len(points) > 1:
            raise ConfigError(f"two distributions install a plugin '{name}': {self._owners(name)}")
        found = _import(points[0].value)
        if not (isinstance(found, type) and issubclass(found, Plugin)):
            raise ConfigError(f"plugin '{name}' ({points[0].value}) is not a Plugin class")
        return found

    def _load_dropin(self, dropin: DropIn) -> type[Plugin]:
        if dropin.name in self._points:
            raise DropInError(
                f"a plugin '{dropin.name}' is installed already, by {self._owners(dropin.name)}",
                dropin.file,
                1,
                "give this file another name",
            )
        return class_of(dropin)


def _is_private(reference: str) -> bool:
    return reference.partition(":")[0].partition(".")[0] == NAMESPACE


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value


def _import(reference: str) -> Any:
    module, _, attribute = reference.partition(":")
    if not module or not attribute:
        raise ConfigError(f"'{reference}' is not of the form module:attr")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a third party's module may fail in any way, `sys.exit` too
        raise _not_imported(reference, module, error) from error
    return found


def _not_imported(reference: str, module: str, error: BaseException) -> ConfigError:
    """Say what went wrong where in the plugin's own source, and what to do when there is none."""
    where = _place(error, module.partition(".")[0])
    said = error.msg if isinstance(error, SyntaxError) else error
    message = f"can't import '{reference}': {type(error).__name__}: {said}"
    missing = isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}.")
    return ConfigError(
        f"{message} ({where})" if where else message,
        hint="install it, or set PYTHONPATH to its folder" if missing else None,
    )


def _place(error: BaseException, package: str) -> str | None:
    """Return file and line of the innermost place in the package's source that raised."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    places = [
        f"{frame.f_code.co_filename}:{line}"
        for frame, line in walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] == package
    ]
    return places[-1] if places else None


def _as_plugin(found: Any, reference: str) -> type[Plugin]:
    if isinstance(found, type) and issubclass(found, Plugin):
        return found
    if callable(found):
        return adapt_middleware(found, reference)
    raise ConfigError(f"'{reference}' is neither a Plugin class nor an aiohttp middleware")
