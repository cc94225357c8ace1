"""What of an explanation nobody may read: it is pasted into tickets and chats."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from proxy.config.masking import MASK, without_credentials, without_literals
from proxy.config.telling import is_telling_field, is_telling_name
from proxy.config.tree import Mapping as Tree
from proxy.config.tree import references
from proxy.plugin.references import SECRET_KEY
from proxy.plugin.values import look_up
from proxy.text import printable

if TYPE_CHECKING:
    from proxy.server.request import Request

_SHORTEST = 4
"""Characters of a value that is looked for inside of lines: shorter ones are part of any word."""

_VARIABLE = re.compile(r"\$\{([A-Z_][A-Z0-9_]*)(?::-([^{}]*))?\}")
_VALUE = re.compile(r"(?<!\$)\$\{([a-z][A-Za-z0-9_.-]*)\}")
_PAIR = re.compile(r"([\w-]+)[\"']?\s*[:=]\s*")
_JWT = re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*")
_ROOTS = frozenset({"claims", "principal", "request", "service"})


class Masks:
    """Hides what stands in the options of plugins as a credential, and what its name tells to be one."""

    def __init__(self, private: Iterable[str], owned: Iterable[str]) -> None:
        """`private` are texts that are shown nowhere, `owned` headers that hold a credential."""
        long_first = sorted({text for text in private if len(text) >= _SHORTEST}, key=len)[::-1]
        self._private = re.compile("|".join(map(re.escape, long_first))) if long_first else None
        self._owned = frozenset(name.lower() for name in owned)

    def _is_telling(self, name: str) -> bool:
        return is_telling_field(name) or name.lower() in self._owned

    def header(self, name: str, value: str) -> str:
        """Return the value of a header as it may be shown."""
        return MASK if value and self._is_telling(name) else self.text(value)

    def target(self, target: str) -> str:
        """Return a path with its query as they may be shown."""
        path, mark, query = target.partition("?")
        return self.text(path) + mark + "&".join(map(self._parameter, query.split("&")))

    def _parameter(self, part: str) -> str:
        name, equals, value = part.partition("=")
        hidden = value and self._is_telling(unquote_plus(name))
        # With its mark it is the query of a URL: a parameter may hold another URL.
        return f"{self.text(name)}{equals}{MASK}" if hidden else self.text(f"?{part}")[1:]

    def text(self, text: str) -> str:
        """Return a text without credentials, and without what a terminal would obey."""
        if self._private is not None:
            text = self._private.sub(MASK, text)
        return printable(_JWT.sub(MASK, without_credentials(text, self._is_telling)))

    def line(self, text: str, request: Request) -> str:
        """Return a plugin's line with this request's values in it, as far as they are known.

        Behind a name that tells of a credential only references are left: names, not values.
        """
        for found in _PAIR.finditer(text):
            if found[1] != SECRET_KEY and self._is_telling(found[1]):
                head, tail = text[: found.end()], text[found.end() :]
                hidden = without_literals(tail) if tail else ""
                return self.text(self._filled(head, request)) + self.text(hidden)
        return self.text(self._filled(text, request))

    def _filled(self, text: str, request: Request) -> str:
        return _VALUE.sub(lambda found: self._value(found[0], found[1], request), text)

    def _value(self, reference: str, name: str, request: Request) -> str:
        root, _, rest = name.partition(".")
        exchange = request.exchange
        unknown = root in ("claims", "principal") and exchange.principal is None
        if root not in _ROOTS or unknown or name == "request.id":
            return reference
        value = look_up(name, request, exchange)
        if value is None:
            return f"{reference} (missing)"
        return MASK if self._is_telling(rest.rpartition(".")[2]) else value


def from_environment(root: Tree, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield what variables put into the files whose name tells of a credential."""
    for _, scalar in references(root):
        for name, default in _VARIABLE.findall(scalar.text):
            if is_telling_name(name):
                yield environment.get(name) or default
