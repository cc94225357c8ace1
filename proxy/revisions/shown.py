"""Values of a configuration as a comparison shows them: as written, and never a credential."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any

from proxy.config.load import Loaded
from proxy.config.masking import MASK, without_credentials
from proxy.config.models import UpstreamSpec
from proxy.config.private import private_values
from proxy.config.telling import is_telling_field
from proxy.config.tree import references
from proxy.plugin.references import is_reference, reference_of
from proxy.ports.secrets import SecretRef
from proxy.text import printable

LONGEST = 120
"""Characters of one value."""


class Shown:
    """Tells values of one side. What came from the environment is shown as `${NAME}`."""

    def __init__(self, loaded: Loaded) -> None:
        """`loaded` has its config and its tree."""
        assert loaded.config is not None
        assert loaded.root is not None
        self._private = private_values(loaded.config, loaded.catalog)
        self._written = {
            scalar.expanded: scalar.text
            for _, scalar in references(loaded.root)
            if scalar.expanded and scalar.text != scalar.expanded
        }

    def value(self, path: str, value: Any) -> str:
        """Return a value that stands under `path`, whose last part may tell of a credential."""
        if isinstance(value, list | tuple):
            return f"[{', '.join(self.value(path, each) for each in value)}]"
        if isinstance(value, SecretRef):
            return f"{value} of {value.store}" if value.store else str(value)
        if value is None or isinstance(value, bool):
            return {None: "none", True: "true", False: "false"}[value]
        text = f"{value:g}" if isinstance(value, float) else str(value)
        if text in self._private or is_telling_field(_last(path)):
            return MASK
        return printable(without_credentials(self._written.get(text, text)), LONGEST)


def _last(path: str) -> str:
    return path.rpartition(".")[2].partition("[")[0]


def flat(
    value: Any, path: str = "", upstreams: Sequence[UpstreamSpec] = ()
) -> Iterator[tuple[str, Any]]:
    """Yield all settings below a value, each with its path: `timeouts.response`, `keys[0].name`.

    A list of plain values is one setting. Defaults are told like all others. A number under
    `upstream` stands for that one of `upstreams`, whose name is left out: it says nothing of where
    requests go.
    """
    if is_reference(value):
        yield path, reference_of(value)
    elif isinstance(value, Mapping):
        for name, each in value.items():
            below = f"{path}.{name}" if path else str(name)
            if name == "upstream" and isinstance(each, int) and upstreams:
                found = _parts(upstreams[each])
                yield from flat({key: found[key] for key in found if key != "name"}, below)
            else:
                yield from flat(each, below, upstreams)
    elif _has_parts(value):
        yield from flat(_parts(value), path, upstreams)
    elif isinstance(value, list | tuple) and any(map(_has_parts, value)):
        for index, each in enumerate(value):
            yield from flat(each, f"{path}[{index}]", upstreams)
    else:
        yield path, _plain(value)


def _has_parts(value: Any) -> bool:
    return isinstance(value, Mapping) or (is_dataclass(value) and not _is_text(value))


def _is_text(value: Any) -> bool:
    """Whether a value is read as one text: an address, a target."""
    return is_dataclass(value) and "__str__" in vars(type(value))


def _parts(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _plain(value: Any) -> Any:
    """Return a setting as it is compared and shown; sets are put in order."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, frozenset | set):
        return sorted(map(_plain, value), key=str)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if _is_text(value):
        own = [field for field in fields(value) if field.default is not MISSING]
        more = [(each.name, getattr(value, each.name), each.default) for each in own]
        told = [f"{name} {_plain(given)}" for name, given, default in more if given != default]
        return " ".join([str(value), *told])
    return value
