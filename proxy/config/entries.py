"""Entries of `plugins:` lists, each checked by its plugin's schema and by the plugin itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from proxy.config.codes import Code
from proxy.config.diagnostics import listed, nearest
from proxy.config.models import Entry
from proxy.config.references import Referring
from proxy.config.registry import Known
from proxy.config.schema import ENTRY_KEYS
from proxy.config.secrets import checked_references
from proxy.config.source import Span
from proxy.config.tree import Mapping as Tree
from proxy.config.tree import Path, find
from proxy.config.violations import violations
from proxy.config.work import Work
from proxy.errors import ConfigError
from proxy.plugin.base import Authenticator, Plugin
from proxy.plugin.dropins import DropInError
from proxy.plugin.options import convert
from proxy.plugin.secret_path import SecretPath
from proxy.plugin.stages import Stage
from proxy.templates import Template


@dataclass(frozen=True, slots=True)
class Link:
    """One entry as a chain sees it. `names` are the per-request values that its options need.

    `needs_caller` is what the plugin says of itself, None where its options tell.
    `follows` says of an authenticator that it lets nobody in where no other stands beside it. `sure` is
    False where the plugin could not be looked at: then nothing is concluded from it.
    """

    index: int
    identity: str
    stage: Stage
    authenticator: bool
    names: tuple[str, ...] = ()
    sure: bool = True
    needs_caller: bool | None = None
    follows: bool = False

    @property
    def of_caller(self) -> bool:
        """Whether it can do nothing where nobody is asked who calls."""
        if self.needs_caller is not None:
            return self.needs_caller
        return any(name.partition(".")[0] in ("claims", "principal") for name in self.names)


class _Checked(NamedTuple):
    """An entry whose options were looked at. `plugin` is None where none could be made."""

    plugin: Plugin | None = None
    names: tuple[str, ...] = ()
    admits: str | None = None
    options: Mapping[str, Any] | None = None


class Entries:
    """All entries of one configuration, in the order in which they were declared."""

    def __init__(self, work: Work) -> None:
        self.entries: list[Entry] = []
        self._work = work

    def declare(self, item: Any, path: Path) -> Link | None:
        """Add one entry and return its link; None when its plugin is not known."""
        entry, options_path = self._entry(item, path)
        known = self._known(entry, options_path)
        if known is None:
            return None
        checked = self._checked(entry, known, options_path)
        made, names, *_ = checked
        self.entries.append(self._judged(entry, checked))
        return Link(
            len(self.entries) - 1,
            entry.identity,
            made.stage if made else known.stage,
            known.authenticator,
            names,
            known.sure,
            made.needs_caller if made else known.needs_caller,
            isinstance(made, Authenticator) and made.follows,
        )

    def _judged(self, entry: Entry, checked: _Checked) -> Entry:
        made = checked.plugin
        if made is None:
            kept = self._work.registry.per_worker(entry.plugin, entry.use is not None)
            return replace(entry, per_worker=kept)
        return replace(
            entry,
            options=entry.options if checked.options is None else checked.options,
            admits=checked.admits,
            per_worker=made.per_worker,
            one_process=made.one_process,
        )

    def _entry(self, item: Any, path: Path) -> tuple[Entry, Path]:
        place, owner = self._work.value(*path).place, ".".join(map(str, path[:-2]))
        if isinstance(item, str):
            return Entry(item, item, None, {}, place, owner), (*path, item)
        use: str | None = item.get("use")
        name: str = use or next(key for key in item if key not in ENTRY_KEYS)
        below = (*path, "with" if use else name)
        options = item.get("with", {}) if use else item[name]
        place = self._work.key(*path, "use" if use else name).place
        return Entry(item.get("as", name), name, use, options, place, owner), below

    def _known(self, entry: Entry, path: Path) -> Known | None:
        registry = self._work.registry
        span = self._work.key(*path[:-1], "use") if entry.use else self._work.key(*path)
        try:
            return registry.get(entry.plugin, use=entry.use is not None)
        except KeyError:
            hint = nearest(entry.plugin, registry.catalog) or _installed(registry.catalog)
            message = f"there is no plugin '{entry.plugin}'"
            self._work.report.error(Code.UNKNOWN_PLUGIN, message, span, hint)
        except DropInError:
            pass  # told at its own line
        except ConfigError as error:
            self._work.report.error(Code.PLUGIN_REFUSES, str(error), span, error.hint)
        return None

    def _checked(self, entry: Entry, known: Known, path: Path) -> _Checked:
        """Return the plugin, where it may be made, and the per-request values that it needs."""
        work = self._work
        if not isinstance(entry.options, dict):
            message = f"plugin '{entry.plugin}': expected its options as a mapping"
            hint = f"without options write the name alone: {entry.plugin}"
            work.report.error(Code.WRONG_TYPE, message, work.key(*path), hint)
            return _Checked()
        try:
            found = violations(known.schema, entry.options, work.root, path, work.report)
            if found.any or not known.sure:
                return _Checked()
            given = known.made.expand(entry.options) if known.made else entry.options
            options = convert(known.schema, given)
            references = checked_references(work, options, path)
            if references is None:
                return _Checked()
            names = tuple(_names(options))
            plugin = None if known.made is None else self._made(known.made, options, path)
            if references:
                work.referring.append(Referring(entry, path, options, references, plugin))
            if plugin is None:
                return _Checked(None, names)
            return _Checked(plugin, names, plugin.admits(), given)
        except (Exception, SystemExit) as error:  # a constructor may fail in any way
            remedy = error.hint if isinstance(error, ConfigError) else None
            message = _refusal(entry.plugin, error)
            work.report.error(Code.PLUGIN_REFUSES, message, work.key(*path), remedy)
            return _Checked()

    def _made(self, made: type[Plugin], options: Mapping[str, Any], path: Path) -> Plugin:
        plugin = made(**options)
        plugin.check(_Problems(self._work, path))
        return plugin


class _Problems:
    """Takes what `Plugin.check` finds to the lines of its options."""

    def __init__(self, work: Work, path: Path) -> None:
        self._work = work
        self._path = path

    def add(self, option: str, message: str, *, hint: str | None = None) -> None:
        """Report an error at `option`."""
        self._work.report.error(Code.PLUGIN_REFUSES, message, self._span(option, message), hint)

    def warn(self, option: str, message: str, *, hint: str | None = None) -> None:
        """Report what is legal and unwise."""
        self._work.report.warn(Code.PLUGIN_WARNS, message, self._span(option, message), hint)

    def _span(self, option: str, message: str) -> Span:
        """Return the place of the option's value; of its key, when the message names that."""
        path = self._at(option)
        if len(path) > len(self._path) and f"'{path[-1]}'" in message:
            return self._work.key(*path)
        return self._work.value(*path)

    def _at(self, option: str) -> Path:
        """Split the option at its dots, but for a key that has some of its own."""
        path, rest = self._path, option
        while rest:
            node, whole = find(self._work.root, path), rest
            while isinstance(node, Tree) and rest not in node.items and "." in rest:
                rest = rest.rpartition(".")[0]
            step = rest if isinstance(node, Tree) else rest.partition(".")[0]
            path = (*path, step if isinstance(node, Tree) or not step.isdecimal() else int(step))
            rest = whole[len(step) + 1 :]
        return path


def _installed(names: Iterable[str]) -> str:
    known = list(names)
    return f"installed: {listed(known, 'and')}" if known else "install it, or name one with 'use'"


def _refusal(plugin: str, error: BaseException) -> str:
    """A plugin's own words for what it refuses on purpose; for a bug, which one it is."""
    if isinstance(error, (ConfigError, ValueError)) and str(error):
        return f"plugin '{plugin}': {error}"
    return f"plugin '{plugin}' can't be made: {type(error).__name__}: {error}"


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, Template | SecretPath):
        yield from value.names
    elif isinstance(value, dict):
        for below in value.values():
            yield from _names(below)
    elif isinstance(value, list):
        for below in value:
            yield from _names(below)
