"""What a YAML file holds, each value with its place.

Nodes are shared where a file uses an alias, so they are never changed after parsing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from proxy.config.source import Span

Path = tuple[str | int, ...]
"""Keys and indexes from the root of a tree to a node."""


class Scalar:
    """One value. `text` is as written.

    `value` is typed, environment values in. Where the text has a `$`, `expanded` is the text behind
    `value`, `template` the same in the language of `proxy.templates`, in which what came from the
    environment is literal, and `empty` the first variable that is set to nothing.
    """

    __slots__ = ("empty", "expanded", "span", "template", "text", "value")
    weight = 1

    def __init__(
        self,
        text: str,
        value: Any,
        span: Span,
        template: str | None = None,
        expanded: str = "",
        empty: str | None = None,
    ) -> None:
        self.text = text
        self.value = value
        self.span = span
        self.template = template
        self.expanded = expanded
        self.empty = empty


class Mapping:
    """Keys to nodes, in the order of the file; `keys` holds the places of the keys."""

    __slots__ = ("items", "keys", "span", "weight")

    def __init__(self, span: Span) -> None:
        self.items: dict[str, Node] = {}
        self.keys: dict[str, Span] = {}
        self.span = span
        self.weight = 1


class Sequence:
    """Nodes in order."""

    __slots__ = ("items", "span", "weight")

    def __init__(self, span: Span) -> None:
        self.items: list[Node] = []
        self.span = span
        self.weight = 1


Node = Scalar | Mapping | Sequence


def plain(node: Node) -> Any:
    """Return the tree as Python values. Depth is bounded by the parser."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Mapping):
        return {key: plain(item) for key, item in node.items.items()}
    return [plain(item) for item in node.items]


def as_written(node: Node) -> Any:
    """Return the tree with `${NAME}` unresolved, typed where nothing was to be resolved."""
    if isinstance(node, Scalar):
        return node.value if node.template is None else node.text
    if isinstance(node, Mapping):
        return {key: as_written(item) for key, item in node.items.items()}
    return [as_written(item) for item in node.items]


def references(node: Node, path: Path = ()) -> Iterator[tuple[Path, Scalar]]:
    """Yield every scalar whose text has a `$`, with its path."""
    if isinstance(node, Scalar):
        if node.template is not None:
            yield path, node
        return
    below = node.items.items() if isinstance(node, Mapping) else enumerate(node.items)
    for key, item in below:
        if not isinstance(item, Scalar) or item.template is not None:
            yield from references(item, (*path, key))


def find(node: Node, path: Path) -> Node | None:
    """Return the node at `path`, or None."""
    for step in path:
        if isinstance(node, Mapping) and step in node.items:
            node = node.items[str(step)]
        elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
        else:
            return None
    return node


def span_of(root: Node, path: Path) -> Span:
    """Return the place of the value at `path`, or of the nearest one above that exists."""
    for end in range(len(path), -1, -1):
        if (node := find(root, path[:end])) is not None:
            return node.span
    return root.span


def key_span(root: Node, path: Path) -> Span:
    """Return the place of the key that `path` ends in; of the value, where it ends in an index."""
    above = find(root, path[:-1])
    if path and isinstance(above, Mapping) and path[-1] in above.keys:
        return above.keys[str(path[-1])]
    return span_of(root, path)
