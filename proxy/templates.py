"""Per-request values: `${claims.sub}` in the text of an option, compiled and checked at load.

A template knows nothing of requests: whoever renders it brings a lookup from dotted names to text.
`$${` writes a literal `${`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from urllib.parse import quote as percent_encode

_TOKEN = re.compile(r"\$\$\{|\$\{")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_ANY = "a dotted path of names"
_ONE = "one name"


class TemplateError(ValueError):
    """A template that can't be compiled. `offset` counts characters from the start of its text."""

    def __init__(self, message: str, offset: int) -> None:
        self.offset = offset
        super().__init__(message)


class MissingValue(LookupError):
    """The request has no value for `name`: 400 for what a client should send, 403 for a claim."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


# What may follow each root: an empty tuple where nothing may, else forms of the next parts.
_FORMS: Mapping[str, Mapping[str, str | None]] = {
    "principal": {"subject": None, "tenant": None, "roles": None},
    "claims": {"*": _ANY},
    "request": {"id": None, "path": _ONE, "header": _ONE, "query": _ONE, "json": _ANY},
    "response": {"status": None, "header": _ONE, "json": _ANY},
    "secret": {"*": _ONE},
    "event": {"*": _ANY},
    "service": {},
}

REQUEST_ROOTS: frozenset[str] = frozenset({"request", "principal", "claims", "service"})
"""What is known when a request has been authenticated and not yet sent on."""


class Template:
    """Literals and names in turn. Compiling checks each name; rendering looks up and joins."""

    __slots__ = ("_literals", "names", "text")

    def __init__(self, text: str, literals: tuple[str, ...], names: tuple[str, ...]) -> None:
        self.text = text
        self.names = names
        self._literals = literals

    @classmethod
    def compile(cls, text: str, roots: Collection[str] = REQUEST_ROOTS) -> Template:
        """Return the template for `text`; names must begin with one of `roots`.

        Raises TemplateError, with the offset of the name or of the `${` that is wrong.
        """
        literals, names, start, literal = [], [], 0, ""
        while found := _TOKEN.search(text, start):
            literal += text[start : found.start()]
            if found[0] == "$${":
                literal, start = literal + "${", found.end()
                continue
            end = text.find("}", found.end())
            if end < 0:
                raise TemplateError(
                    "'${' is never closed; a literal one is written '$${'", found.start()
                )
            _check_name(text[found.end() : end], roots, found.start())
            names.append(text[found.end() : end])
            literals.append(literal)
            literal, start = "", end + 1
        return cls(text, (*literals, literal + text[start:]), tuple(names))

    @property
    def literal(self) -> bool:
        """Whether it renders to the same text for every request."""
        return not self.names

    def render(self, lookup: Callable[[str], str | None], *, quote: bool) -> str:
        """Put values beside literals.

        `quote` percent-encodes each value outside `[A-Za-z0-9_~.]`, for paths and ids, so that no
        value adds a segment or spells another's; without it a value is meant for a header. Raises
        MissingValue when `lookup` has none, ValueError for a control character (RFC 9110, 5.5).
        """
        parts = [self._literals[0]]
        for name, literal in zip(self.names, self._literals[1:], strict=True):
            value = lookup(name)
            if value is None:
                raise MissingValue(name)
            parts += (_quoted(value) if quote else _clean(name, value), literal)
        return "".join(parts)

    def __repr__(self) -> str:
        return f"Template({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


def _quoted(value: str) -> str:
    """Percent-encode all but `[A-Za-z0-9_~.]`; dots alone too, which would climb a path."""
    encoded = percent_encode(value, safe="", errors="surrogateescape").replace("-", "%2D")
    return encoded.replace(".", "%2E") if encoded in {".", ".."} else encoded


def _clean(name: str, value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError(f"the value of ${{{name}}} has a control character")
    return value


def _check_name(name: str, roots: Collection[str], offset: int) -> None:
    root, *parts = name.split(".")
    if root not in _FORMS:
        raise TemplateError(f"unknown value '${{{name}}}': it begins with {_listed(roots)}", offset)
    if root not in roots:
        raise TemplateError(f"'{root}' is not known here: use {_listed(roots)}", offset)
    if parts[:1] == ["json"] and f"{root}.json" not in roots:
        raise TemplateError(f"'{root}.json' is not known here: no body is read for it", offset)
    if not all(_NAME.fullmatch(part) for part in parts) or not _fits(root, parts):
        raise TemplateError(f"unknown value '${{{name}}}': write {_forms(root)}", offset)


def _fits(root: str, parts: list[str]) -> bool:
    forms = _FORMS[root]
    if not forms or not parts:
        return not forms and not parts
    below = parts if "*" in forms else parts[1:]
    form = forms.get("*") if "*" in forms else forms.get(parts[0], "")
    if form is None or form == "":
        return form is None and not below
    return bool(below) and (form is _ANY or len(below) == 1)


def _forms(root: str) -> str:
    """Spell the accepted forms of a root, such as `request.id`, `request.header.NAME`."""
    if not _FORMS[root]:
        return f"${{{root}}}"
    names = (
        "NAME" if key == "*" else key + (".NAME" if form else "")
        for key, form in _FORMS[root].items()
    )
    return ", ".join(f"{root}.{name}" for name in names)


def _listed(roots: Collection[str]) -> str:
    return ", ".join(sorted(roots))
