"""What to write instead, where it is clear what was meant.

A hint repeats a value only when it stands in the file as it is: what came from the environment, or
may be a credential, is never said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from proxy.config.addresses import parse_url
from proxy.config.diagnostics import nearest_word
from proxy.config.hiding import is_private
from proxy.config.syntax import lacks_space
from proxy.config.telling import is_telling_name
from proxy.config.tree import Node, Path, Scalar, find
from proxy.plugin.options import types_of
from proxy.units import mended

Schema = Mapping[str, Any]

_SHELL = re.compile(r"(?<!\$)\$([A-Z_][A-Z0-9_]*)")
_REFERENCE = re.compile(r"(?<!\$)\$\{([A-Z_][A-Z0-9_]*)(:-)?")
_HOST = re.compile(r"[A-Za-z0-9][\w.-]*(?::[0-9]+)?(?:/[^@]*)?")
_PORT = re.compile(r"[0-9]{1,5}")
_PLAIN = re.compile(r"[\w/][\w./:*-]*(?:\s*,\s*[\w/][\w./:*-]*)*")
_YES = frozenset({"yes", "on", "y"})
_NO = frozenset({"no", "off", "n"})

_IN_MATCH = frozenset({"path", "method", "methods", "header", "headers", "query"})
_SYNONYMS: Mapping[str, str] = {
    **dict.fromkeys(("url", "uri", "target", "targets", "address"), "upstream"),
    **dict.fromkeys(_IN_MATCH, "match"),
}


def remedy(schema: Schema, value: Any, root: Node, path: Path) -> str | None:
    """Return what to do about a value that its schema refuses, None where nothing is sure."""
    node = find(root, path)
    if isinstance(node, Scalar) and (origin := origin_of(node)):
        return origin
    if _may_be_credential(schema, path):
        return None
    if isinstance(value, str) and (shell := _SHELL.search(value)):
        return f"write ${{{shell[1]}}}"
    return next((found for each in _REMEDIES if (found := each(schema, value))), None)


def origin_of(node: Scalar) -> str | None:
    """Name the variable that gave a value, or a part of it."""
    found = _REFERENCE.search(node.text) if node.template is not None else None
    if found is None:
        return None
    if node.empty:
        return f"{node.empty} is empty"
    if not node.expanded:
        return f"{found[1]} is empty or not set"
    return f"the value is what {found[1]} gives" + (", or its default" if found[2] else "")


def _may_be_credential(schema: Schema, path: Path) -> bool:
    name = next((step for step in reversed(path) if isinstance(step, str)), "")
    return is_private(schema) or is_telling_name(name)


def meant_key(name: str, value: Mapping[str, Any], schema: Schema) -> str | None:
    """Return the key that was meant by one that is not known."""
    known = _known(schema)
    synonym = _SYNONYMS.get(name)
    return synonym if synonym in known and synonym not in value else nearest_word(name, known)


_OF_UPSTREAM = frozenset(
    {"targets", "balance", "health", "outliers", "breaker", "slow_start", "concurrent", "queue"}
)
"""Keys of an upstream that people write beside it."""


def remedy_of_key(name: str, value: Mapping[str, Any], schema: Schema) -> str | None:
    """Return what to do about a key that is not known."""
    if space := lacks_space(name):
        return space
    if name in _OF_UPSTREAM and "upstream" in schema.get("properties", {}):
        return "write it under 'upstream', whose targets it is about"
    meant = meant_key(name, value, schema)
    if meant == "match" and name in _IN_MATCH:
        return "write it under 'match'"
    return meant and f"did you mean '{meant}'?"


def _known(schema: Schema) -> list[str]:
    return [name for name, below in schema.get("properties", {}).items() if "not" not in below]


def _constant(schema: Schema, value: Any) -> str | None:
    wanted = schema.get("enum", [True, False] if "boolean" in types_of(schema) else [])
    if not isinstance(value, str) or not any(each is True for each in wanted):
        return None
    word = value.lower()
    if word in {"true", "false"}:
        return f"write {word} without quotes"
    return "did you mean true?" if word in _YES else "did you mean false?" if word in _NO else None


def _unit(schema: Schema, value: Any) -> str | None:
    written = mended(schema.get("format", ""), value)
    if written is None:
        return None
    return f"did you mean '{written}'?" if isinstance(value, str) else f"write '{written}'"


def _listener(schema: Schema, value: Any) -> str | None:
    host = {"listen": "", "admin": "127.0.0.1"}.get(schema.get("format", ""))
    if host is None or isinstance(value, bool) or not _PORT.fullmatch(str(value)):
        return None
    return f"write '{host}:{value}'"


def _url(schema: Schema, value: Any) -> str | None:
    if schema.get("format") not in {"upstream", "upstream-url"} or not isinstance(value, str):
        return None
    if not _HOST.fullmatch(value):
        return None
    try:
        parse_url(f"http://{value}")
    except ValueError:
        return None
    return f"did you mean 'http://{value}'?"


def _list(schema: Schema, value: Any) -> str | None:
    if types_of(schema) != ("array",) or not isinstance(value, str):
        return None
    return f"write a list: [{value if _PLAIN.fullmatch(value) else 'a, b'}]"


def _mapping(schema: Schema, value: Any) -> str | None:
    if "object" not in types_of(schema):
        return None
    if isinstance(value, str):
        return None if "string" in types_of(schema) else lacks_space(value)
    dashes = isinstance(value, list) and value and all(isinstance(each, dict) for each in value)
    return "remove the '-'" if dashes else None


_REMEDIES: tuple[Callable[[Schema, Any], str | None], ...] = (
    _constant,
    _unit,
    _listener,
    _url,
    _list,
    _mapping,
)
