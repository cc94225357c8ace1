"""Drop-ins: plugins from the files of one folder, run anew for each load under a private namespace.

They are made of the bytes that a load has read and checked, never of what the disk holds later. The
classes of an older load live on with its snapshot: only `sys.modules` names the newer ones.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.abc import ExecutionLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import decode_source, spec_from_file_location
from inspect import isabstract
from traceback import walk_tb
from types import ModuleType
from typing import Any

from proxy.errors import ConfigError
from proxy.plugin.adapter import adapt_middleware
from proxy.plugin.base import Plugin

NAMESPACE = "brain_dropins"

MIDDLEWARE = "middleware"
"""What a file without a plugin class may define instead: an aiohttp middleware."""


@dataclass(frozen=True, slots=True)
class DropIn:
    """One file of the folder: its `module` below the namespace, its path, and what it held."""

    module: str
    file: str
    source: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """The plugin's name in YAML."""
        return self.module.replace("_", "-")

    @property
    def helps(self) -> bool:
        """Whether it is no plugin but a module that others import from the namespace."""
        return self.module.startswith("_")


class DropInError(ConfigError):
    """A drop-in that can't be used, with the place in the folder where that shows."""

    def __init__(self, message: str, file: str, line: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.file = file
        self.line = line


def begin_anew(dropins: Iterable[DropIn]) -> None:
    """Let the namespace hold `dropins` and nothing else, none of them run yet."""
    for name in _names():
        del sys.modules[name]
    package = ModuleType(NAMESPACE, "The drop-ins of the last load.")
    package.__path__ = []
    sys.modules[NAMESPACE] = package
    _finder.files = {f"{NAMESPACE}.{each.module}": each for each in dropins}
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


Namespace = tuple[dict[str, ModuleType], dict[str, DropIn]]


def namespace() -> Namespace:
    """Return what the namespace holds now, for `restore` when a load comes to nothing."""
    return {name: sys.modules[name] for name in _names()}, _finder.files


def restore(before: Namespace) -> None:
    """Let the namespace hold again what it did."""
    modules, _finder.files = before
    for name in _names():
        del sys.modules[name]
    sys.modules.update(modules)


def _names() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == NAMESPACE]


def class_of(dropin: DropIn) -> type[Plugin]:
    """Run the file, once a load, and return the plugin that it defines.

    Raises DropInError for one that fails, and for one that defines no plugin or several.
    """
    try:
        module = importlib.import_module(f"{NAMESPACE}.{dropin.module}")
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # an author's module may fail in any way, `sys.exit` too
        raise _failed(dropin, error) from error
    found = _plugins(module)
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(plugin.__name__ for plugin in found)
        hint = "begin the names of all but the plugin with an underscore"
        raise DropInError(f"this file defines several plugins: {names}", dropin.file, 1, hint)
    middleware = getattr(module, MIDDLEWARE, None)
    if middleware is None:
        hint = f"define a subclass of Plugin, or an aiohttp middleware called '{MIDDLEWARE}'"
        raise DropInError("this file defines no plugin", dropin.file, 1, hint)
    return adapt_middleware(middleware, dropin.name)


def _plugins(module: ModuleType) -> Sequence[type[Plugin]]:
    """Return the plugin classes that a module defines itself, those of private names left out."""
    own = [
        value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and isinstance(value, type)
        and issubclass(value, Plugin)
        and value.__module__ == module.__name__
        and not isabstract(value)
    ]
    return list(dict.fromkeys(own))


def _failed(dropin: DropIn, error: BaseException) -> DropInError:
    """Say what failed at the innermost place in the folder: a helper's, maybe."""
    said = error.msg if isinstance(error, SyntaxError) else error
    message = f"this plugin can't be loaded: {type(error).__name__}: {said}"
    known = {each.file for each in _finder.files.values()}
    places = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        places.append((error.filename or "", error.lineno or 1))
    own = [place for place in places if place[0] in known]
    file, line = own[-1] if own else (dropin.file, 1)
    return DropInError(message, file, line)


class _Finder(MetaPathFinder):
    """Finds the files of the last load."""

    def __init__(self) -> None:
        self.files: dict[str, DropIn] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        dropin = self.files.get(fullname)
        if dropin is None:
            return None
        return spec_from_file_location(fullname, dropin.file, loader=_Loader(dropin))


class _Loader(ExecutionLoader):
    """Runs what was read. No compiled file is written beside it, nor taken."""

    def __init__(self, dropin: DropIn) -> None:
        self._dropin = dropin

    def get_filename(self, fullname: str) -> str:
        return self._dropin.file

    def get_source(self, fullname: str) -> str:
        return decode_source(self._dropin.source)

    def get_code(self, fullname: str) -> Any:
        return self.source_to_code(self._dropin.source, self._dropin.file)

    def is_package(self, fullname: str) -> bool:
        return False


_finder = _Finder()
