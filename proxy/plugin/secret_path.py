"""A path of a secret store that may name values of the caller: `tenants/${principal.tenant}/crm`.

What a value could mean to a store is settled before anything is asked or quoted: each is one segment
of plain letters. A real server gave out `admin` for `t/../admin`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

from proxy.plugin.principal import Principal
from proxy.ports.secrets import PATH_FORM, is_path
from proxy.templates import Template

ROOTS = frozenset({"principal", "claims"})
"""What was verified. Nothing else that a caller sends chooses whose secret it is."""

_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_MARK = "*"
"""Stands for a value where no path can have it."""


class NotInPath(ValueError):
    """A value of the caller that can't be a segment. Its text names it, and does not repeat it."""


class SecretPath:
    """An option of `format: secret-path`. `names` are the values of the caller that it is made of."""

    __slots__ = ("_template", "names", "text")

    def __init__(self, template: Template) -> None:
        self._template = template
        self.text = template.text
        self.names = template.names

    @classmethod
    def compile(cls, text: str) -> SecretPath:
        """Return the path for `text`. Raises ValueError in words for its line."""
        template = Template.compile(text, ROOTS)
        if "principal.roles" in template.names:
            raise ValueError("roles are several: name one value of the caller")
        if "${" in text.partition("/")[0]:
            raise ValueError("the first segment is the same for all, such as tenants/${…}")
        if not is_path(template.render(lambda _: "x", quote=False)):
            raise ValueError(f"expected {PATH_FORM}")
        marked = template.render(lambda _: _MARK, quote=False)
        if any(segment.count(_MARK) > 1 for segment in marked.split("/")):
            # a-b and c would be who a and b-c are: another tenant, with a credential of its own.
            raise ValueError("two values in one segment can't be told apart: put a slash between")
        return cls(template)

    def __repr__(self) -> str:
        return f"<SecretPath {self.text}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretPath) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    @property
    def literal(self) -> bool:
        """Whether it is the same for every caller."""
        return not self.names

    def at(self, values: Mapping[str, str]) -> str:
        """Return the path for the values of a caller. Raises NotInPath."""
        for name in self.names:
            if not _VALUE.fullmatch(values[name]):
                raise NotInPath(f"${{{name}}} is no name in a path")
        path = self._template.render(values.get, quote=False)
        if not is_path(path):
            raise NotInPath(f"the values of {self.text} make no path")
        return path


def value_in_path(name: str) -> Callable[[Principal], str]:
    """Return what reads a value that a path names.

    It raises LookupError where the caller has none, NotInPath for lists, numbers and booleans: `1` and
    `true` might be somebody's name.
    """
    root, *parts = name.split(".")
    read = attrgetter(*parts) if root == "principal" else partial(_claim, parts)

    def value(principal: Principal) -> str:
        found = read(principal)
        if type(found) is str:
            return found
        if found is None:
            raise LookupError(f"no value for ${{{name}}}")
        raise NotInPath(f"${{{name}}} is no text")

    return value


def _claim(parts: Sequence[str], principal: Principal) -> Any:
    value: Any = principal.claims
    for part in parts:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
