"""The line that mends something, and where in the files it goes."""

from __future__ import annotations

import json
from dataclasses import dataclass

from proxy.config.masking import without_credentials
from proxy.config.models import Place
from proxy.config.source import Span
from proxy.config.tree import Mapping as Tree
from proxy.config.tree import Path, Scalar, find, key_span


@dataclass(frozen=True, slots=True)
class Mend:
    """`line` is YAML, `place` where it goes, and `where` says in words: in what, or instead of it."""

    line: str
    place: Place
    where: str


def mended(root: Tree, path: Path, value: str) -> Mend:
    """Return the line that puts `value` (YAML, in one line) at `path`, as the files now are.

    An address that stands alone becomes a mapping with it: `crm: http://crm` takes no further key.
    """
    if find(root, path) is not None:
        return Mend(f"{path[-1]}: {value}", _place(key_span(root, path)), "instead of this key")
    end = next(end for end in range(len(path) - 1, -1, -1) if find(root, path[:end]) is not None)
    above, rest = find(root, path[:end]), path[end:]
    span = key_span(root, path[:end]) if end else root.span
    if isinstance(above, Scalar):
        line = _long_form(path[end - 1], without_credentials(above.text), rest, value)
        return Mend(line, _place(span), "instead of this key")
    where = f"in {_dotted(path[:end])}" if end else "at the top level"
    return Mend(_nested(rest, value), _place(span), where)


def _place(span: Span) -> Place:
    """Return the place; what is said of a whole file stands in its first line."""
    return Place(span.source.name, max(1, span.line), max(1, span.column))


def _long_form(key: str | int, address: str, rest: Path, value: str) -> str:
    """Return `key: {…}` with the address that stood there alone and what is new."""
    text = json.dumps(address, ensure_ascii=False)
    if key == "upstream":
        return f"upstream: {{url: {text}, {_nested(rest, value)}}}"
    if rest[0] == "upstream":
        return f"{key}: {{upstream: {{url: {text}, {_nested(rest[1:], value)}}}}}"
    return f"{key}: {{upstream: {text}, {_nested(rest, value)}}}"


def _nested(keys: Path, value: str) -> str:
    first, *more = keys
    return f"{first}: {{{_nested(tuple(more), value)}}}" if more else f"{first}: {value}"


def _dotted(path: Path) -> str:
    """Return `services.crm.routes[0]`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)[1:]
