"""A JSON document that is opened only where it is edited (RFC 8259).

Every value that no edit reaches into stays the text that it was: numbers of any size and precision,
escapes and the order of names come through as they were written. The standard library's scanner,
which is C, finds where values end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from plugins.body_transform.pointers import APPEND, Pointer

_COLON = re.compile(r"[ \t\n\r]*:[ \t\n\r]*")
_COMMA = re.compile(r"[ \t\n\r]*,?[ \t\n\r]*")
_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")


class NotJson(ValueError):
    """The text is no JSON document that everybody reads in the same way."""


class Misfit(ValueError):
    """A field can't be put where it should stand: something else is there already."""


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise NotJson("a name stands twice in one object")


def _refused(constant: str) -> None:
    raise NotJson(f"{constant} is no JSON number")


# Numbers stay text: one of more than 4300 digits is a ValueError as an int, and a float is rounded.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=str, parse_float=str, parse_constant=_refused
)


Node: TypeAlias = "Object | Array | str"
"""A value: opened, or its text without space around it."""


class Document:
    """One body. It is checked whole when it is made, and edited in place."""

    def __init__(self, body: bytes) -> None:
        """Take a body. Raises NotJson, also for names that stand twice and for NaN or Infinity.

        Two readers of a name that stands twice could take another value each, and one of them would
        read what was edited away (RFC 8259, 4).
        """
        try:
            text = body.decode()
            _DECODER.decode(text)
        except UnicodeDecodeError:
            raise NotJson("it is not UTF-8") from None
        except json.JSONDecodeError as error:
            raise NotJson(f"line {error.lineno}, column {error.colno}") from None
        self._root = _opened(text.strip(" \t\n\r"))

    def written(self) -> bytes:
        """Return the document as it is now."""
        return str(self._root).encode()

    def put(self, pointer: Pointer, value: Node) -> bool:
        """Put `value` at `pointer`, in the place of what is there; tell whether that changed it.

        Objects that are missing on the way, or null, are made. Raises Misfit where something else
        is in the way.
        """
        container = self._root
        for step in pointer[:-1]:
            container = _below(container, step)
        return _container(container).put(pointer[-1], value)

    def take(self, pointer: Pointer) -> Node | None:
        """Remove the value at `pointer` and return it, None where there is none."""
        container: Node | None = self._root
        for step in pointer[:-1]:
            if container is None or isinstance(container, str):
                return None
            container = container.get(step)
        if container is None or isinstance(container, str):
            return None
        return container.take(pointer[-1])


class Object:
    """An opened object: each name as it was written, and its value."""

    def __init__(self, text: str) -> None:
        self._members: dict[str, tuple[str, Node]] = {
            name: (written, value) for name, written, value in _members(text)
        }

    def __str__(self) -> str:
        return "{" + ",".join(f"{name}:{value}" for name, value in self._members.values()) + "}"

    def get(self, name: str) -> Node | None:
        """Return the value of `name`, opened for good."""
        if name not in self._members:
            return None
        written, value = self._members[name]
        value = _opened(value)
        self._members[name] = written, value
        return value

    def put(self, name: str, value: Node) -> bool:
        written, old = self._members.get(name, (json.dumps(name), None))
        self._members[name] = written, value
        return old is None or str(old) != str(value)

    def take(self, name: str) -> Node | None:
        return self._members.pop(name, (None, None))[1]


class Array:
    """An opened array."""

    def __init__(self, text: str) -> None:
        self._items: list[Node] = list(_items(text))

    def __str__(self) -> str:
        return "[" + ",".join(map(str, self._items)) + "]"

    def get(self, index: str) -> Node | None:
        """Return the element at `index`, opened for good; None where there is none."""
        at = self._at(index)
        if at is None:
            return None
        self._items[at] = _opened(self._items[at])
        return self._items[at]

    def put(self, index: str, value: Node) -> bool:
        """Replace an element, or append one at "-". Raises Misfit for another index."""
        if index == APPEND:
            self._items.append(value)
            return True
        at = self._at(index)
        if at is None:
            raise Misfit("an array has no such element")
        old, self._items[at] = self._items[at], value
        return str(old) != str(value)

    def take(self, index: str) -> Node | None:
        at = self._at(index)
        return None if at is None else self._items.pop(at)

    def _at(self, index: str) -> int | None:
        at = int(index) if _INDEX.fullmatch(index) else len(self._items)
        return at if at < len(self._items) else None


def _below(container: Node, step: str) -> Node:
    """Return what is at `step`; an object is made where there is nothing, or null."""
    found = _container(container).get(step)
    if found is None or found == "null":
        found = Object("{}")
        _container(container).put(step, found)
    return found


def _container(node: Node) -> Object | Array:
    if isinstance(node, str):
        raise Misfit("a field can stand only in an object or an array")
    return node


def _opened(node: Node) -> Node:
    if isinstance(node, str) and node[0] in "{[":
        return Object(node) if node[0] == "{" else Array(node)
    return node


def _members(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield each name, the text that it was written as, and the text of its value."""
    at = _past(_COMMA, text, 1)
    while text[at] != "}":
        name, named = _DECODER.raw_decode(text, at)
        start = _past(_COLON, text, named)
        end = _DECODER.raw_decode(text, start)[1]
        yield name, text[at:named], text[start:end]
        at = _past(_COMMA, text, end)


def _items(text: str) -> Iterator[str]:
    at = _past(_COMMA, text, 1)
    while text[at] != "]":
        end = _DECODER.raw_decode(text, at)[1]
        yield text[at:end]
        at = _past(_COMMA, text, end)


def _past(mark: re.Pattern[str], text: str, at: int) -> int:
    """Return where the next name or value begins behind a mark, which the text is known to have."""
    found = mark.match(text, at)
    assert found is not None
    return found.end()
