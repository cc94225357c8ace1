"""The places of the files that refer to stores of secrets, with their lines: for who asks the stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from proxy.config.models import Entry
from proxy.config.source import Span
from proxy.config.tree import Path
from proxy.plugin.references import SECRET_KEY
from proxy.plugin.referring import At, Referred
from proxy.plugin.secret_path import SecretPath
from proxy.templates import Template

if TYPE_CHECKING:
    from proxy.config.work import Work
    from proxy.plugin.base import Plugin
    from proxy.ports.secrets import Secret

_OF_SECRET = f"{SECRET_KEY}."
"""What the names of fields begin with in a template."""


class Referring(NamedTuple):
    """The converted options of an entry that refer to stores, where they stand, and what took them.

    `plugin` is None where it can't be made here.
    """

    entry: Entry
    path: Path
    options: Any
    found: tuple[Referred, ...]
    plugin: Plugin | None


@dataclass(frozen=True, slots=True)
class Reference:
    """One place that refers to a store, which is named.

    `owner` is what the entry of `plugin` belongs to, "" for the files as a whole. `fields` are those
    that are needed there. Of references with the same `one_of` any is enough. `required` is False
    where it may be missing for now; `writes` says that the plugin puts new values there. `judge` is
    the plugin's `Plugin.judge` for this place.
    """

    plugin: str
    owner: str
    path: SecretPath
    fields: tuple[str, ...]
    store: str
    span: Span
    one_of: tuple[str | int, ...]
    required: bool = True
    writes: bool = False
    judge: Callable[[Secret], list[str]] | None = None


def references_of(work: Work, stores: tuple[str, ...]) -> Iterator[Reference]:
    """Yield all that the entries refer to, in their order. `stores` are those that there are."""
    for referring in work.referring:
        entry, path = referring.entry, referring.path
        for found in referring.found:
            if found.field is None:
                yield _of_path(work, referring, found, stores)
            else:
                at = (*path, *found.at)
                yield Reference(
                    entry.plugin,
                    entry.owner,
                    found.path,
                    (found.field,),
                    found.store or stores[0],
                    work.value(*at, SECRET_KEY),
                    at,
                )


def _of_path(
    work: Work, referring: Referring, found: Referred, stores: tuple[str, ...]
) -> Reference:
    entry, path, options, _, plugin = referring
    several = isinstance(found.at[-1], int)
    one_of = found.at[:-1] if several else found.at
    beside = _at(options, one_of[:-1])
    return Reference(
        entry.plugin,
        entry.owner,
        found.path,
        tuple(_needed(beside, str(one_of[-1]))),
        found.store or stores[0],
        work.value(*path, *found.at),
        (*path, *one_of),
        required=beside.get("required") is not False,
        writes=OAUTH in beside,
        judge=None if plugin is None else partial(plugin.judge, ".".join(map(str, found.at))),
    )


def _at(value: Any, at: At) -> Mapping[str, Any]:
    """Return the mapping in which a path stands."""
    for step in at:
        value = value[step]
    return value if isinstance(value, Mapping) else {}


# -- which fields

OAUTH = "oauth"
"""The option beside a path to which the gateway writes tokens that it got for what stands there."""

_WRITTEN = frozenset({"access_token", "expires_at"})
_CLIENT = "client"


def _needed(beside: Mapping[str, Any], key: str) -> Iterator[str]:
    """Yield the fields of a path: those that templates beside it name, and those that tokens need."""
    if key == _CLIENT and "grant" in beside:
        yield from _of_client(beside)
        return
    oauth = beside.get(OAUTH)
    if not isinstance(oauth, Mapping):
        yield from _fields(beside)
        return
    yield from (name for name in _fields(beside) if name not in _WRITTEN)
    if oauth["grant"] == "refresh_token":
        yield "refresh_token"
    if _CLIENT not in oauth:
        yield from _of_client(oauth)


def _of_client(oauth: Mapping[str, Any]) -> Iterator[str]:
    yield "client_id"
    if oauth["client_auth"] != "none":
        yield "client_secret"


def _fields(value: Any) -> Iterator[str]:
    """Yield the fields that templates name, each once."""
    yield from dict.fromkeys(
        name.removeprefix(_OF_SECRET) for name in _names(value) if name.startswith(_OF_SECRET)
    )


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, Template):
        yield from value.names
    elif isinstance(value, Mapping):
        for below in value.values():
            yield from _names(below)
    elif isinstance(value, list | tuple):
        for below in value:
            yield from _names(below)
