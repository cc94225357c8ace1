"""The places of the files that refer to stores of secrets, with their lines: for who asks the stores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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

_OF_SECRET = f"{SECRET_KEY}."
"""What the names of fields begin with in a template."""

_WRITTEN = "access_token"
"""The field that `oauth` of `credentials` gets: a tenant who has just connected has none."""


class Referring(NamedTuple):
    """The converted options of an entry that refer to stores, and where they stand."""

    entry: Entry
    path: Path
    options: Any
    found: tuple[Referred, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """One place that refers to a store, which is named.

    `owner` is what the entry of `plugin` belongs to, "" for the files as a whole. `fields` are those
    that are needed there. Of references with the same `one_of` any is enough. `required` is False
    where it may be missing for now; `writes` says that the plugin puts new values there.
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


def references_of(work: Work, stores: tuple[str, ...]) -> Iterator[Reference]:
    """Yield all that the entries refer to, in their order. `stores` are those that there are."""
    for entry, path, options, every in work.referring:
        for found in every:
            beside = _at(options, found.around)
            literal = found.field is not None
            place = (*path, *found.at, SECRET_KEY) if literal else (*path, *found.at)
            writes = "oauth" in beside
            alone = literal or not isinstance(found.at[-1], int)
            yield Reference(
                entry.plugin,
                entry.owner,
                found.path,
                (found.field,) if found.field is not None else tuple(_fields(beside, writes)),
                found.store or stores[0],
                work.value(*place),
                (*path, *(found.at if alone else found.at[:-1])),
                required=beside.get("required") is not False,
                writes=writes,
            )


def _at(value: Any, at: At) -> Mapping[str, Any]:
    """Return the mapping that stands beside a reference, {} where it is all there is."""
    for step in at:
        value = value[step]
    return value if isinstance(value, Mapping) else {}


def _fields(value: Any, writes: bool) -> Iterator[str]:
    """Yield the fields that templates name, each once; not the one that the plugin writes itself."""
    named = (name.removeprefix(_OF_SECRET) for name in _names(value) if name.startswith(_OF_SECRET))
    yield from dict.fromkeys(name for name in named if not (writes and name == _WRITTEN))


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, Template):
        yield from value.names
    elif isinstance(value, Mapping):
        for below in value.values():
            yield from _names(below)
    elif isinstance(value, list | tuple):
        for below in value:
            yield from _names(below)
