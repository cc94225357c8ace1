"""What `set` puts into a body: any JSON, whose texts may be templates."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from proxy import Template

Render = Callable[[Template], str]


class Value:
    """One value of the file. What is the same for every request is written once."""

    def __init__(self, given: Any) -> None:
        self._given = given
        self._written = None if any(_names(given)) else _dumped(given, _literal)

    def __str__(self) -> str:
        """Show it as in the file, templates and all."""
        return _dumped(self._given, lambda template: template.text)

    def text(self, render: Render) -> str:
        """Return its JSON text for one request. Raises what `render` does.

        Raises UnicodeEncodeError for a value with bytes that are no UTF-8.
        """
        if self._written is not None:
            return self._written
        text = _dumped(self._given, render)
        text.encode()
        return text


def _names(given: Any) -> Iterator[str]:
    if isinstance(given, Template):
        yield from given.names
    elif isinstance(given, dict):
        for below in given.values():
            yield from _names(below)
    elif isinstance(given, list):
        for below in given:
            yield from _names(below)


def _literal(template: Template) -> str:
    return template.render(lambda _: None, quote=False)


def _dumped(given: Any, render: Render) -> str:
    # `default` is asked for what is no JSON: a template, whose text is then written as any other.
    return json.dumps(
        given, default=render, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
