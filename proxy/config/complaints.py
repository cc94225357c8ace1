"""Violations of a schema in our words: never jsonschema's, never a `oneOf`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from proxy.config.codes import Code
from proxy.config.diagnostics import Report, count, listed, nearest
from proxy.config.remedies import origin_of, remedy, remedy_of_key
from proxy.config.syntax import lacks_space
from proxy.config.tree import Node, Path, Scalar, find, key_span, span_of
from proxy.config.wording import constant, kind, subject, wish
from proxy.plugin.options import TEMPLATE_FORMATS
from proxy.plugin.references import HOW, NOT_HERE, SECRET_KEY
from proxy.ports.secrets import FIELD_PATTERN, PATH_FORM, PATH_PATTERN

_HEXADECIMAL = re.compile(r"\^\[(?:0-9|a-f|A-F){2,3}\]\{([0-9]+)\}\$")

_PATTERNS: Mapping[str, str] = {
    "^[A-Za-z0-9-]+$": "letters, digits and hyphens",
    "^[A-Z_][A-Z0-9_]*$": "capitals, digits and '_', such as BRAIN_SECRET_",
    PATH_PATTERN: PATH_FORM,
    FIELD_PATTERN: "a name of letters, digits, '.', '_' and '-'",
    r"^/[^?#\s]*$": "a path that begins with '/' and holds no '?', no '#' and no space",
}


class Violation(NamedTuple):
    """One keyword of a schema that a value does not satisfy.

    `wanted` is what the keyword says, `message` the words of a format's check. `of_name` is True
    where the value is a key, and `path` then leads to the mapping that holds it.
    """

    keyword: str
    wanted: Any
    value: Any
    path: Path
    schema: Mapping[str, Any]
    message: str
    of_name: bool


def complain(violation: Violation, root: Node, report: Report) -> None:
    """Report a violation at its key or value."""
    _WORDS.get(violation.keyword, _other)(violation, root, report)


def _unknown(violation: Violation, root: Node, report: Report) -> None:
    properties: Mapping[str, Any] = violation.schema.get("properties", {})
    known = [name for name, below in properties.items() if "not" not in below]
    for name in violation.value:
        if name in properties or (
            name.startswith("x-") and "patternProperties" in violation.schema
        ):
            continue
        message = f"unknown key '{name}' in {subject(violation.path)}"
        hint = remedy_of_key(name, violation.value, violation.schema)
        hint = hint or (f"known: {listed(known, 'and')}" if known else None)
        report.error(Code.UNKNOWN_KEY, message, key_span(root, (*violation.path, name)), hint)


def _missing(violation: Violation, root: Node, report: Report) -> None:
    for name in violation.wanted:
        if name not in violation.value:
            message = f"key '{name}' is missing in {subject(violation.path)}"
            only = violation.schema.get("properties", {}).get(name, {}).get("enum", ())
            hint = f"add '{name}: {constant(only[0])}'" if len(only) == 1 else None
            if name == "upstream" and _goes_elsewhere(violation.value.get("plugins")):
                nowhere = f"https://{_placeholder(violation.path)}.invalid"
                hint = f"add 'upstream: {nowhere}', which leads nowhere"
            report.error(Code.MISSING_KEY, message, key_span(root, violation.path), hint)


def _goes_elsewhere(chain: Any) -> bool:
    """Say whether an entry sends requests to a host that a secret names."""
    return any(
        isinstance(options, dict) and "base_url" in options
        for entry in (chain if isinstance(chain, list) else ())
        if isinstance(entry, dict)
        for options in entry.values()
    )


def _placeholder(path: Path) -> str:
    return str(path[1]) if len(path) == 2 and path[0] == "services" else "name"


def _type(violation: Violation, root: Node, report: Report) -> None:
    value, path = violation.value, violation.path
    if isinstance(value, dict) and SECRET_KEY in value:
        message = f"{subject(path)}: a value of a secret store can't stand here"
        instead = "a value of the environment can: ${NAME}"
        report.error(Code.WRONG_TYPE, message, key_span(root, path), instead)
        return
    if violation.schema.get("format") == SECRET_KEY:
        report.error(Code.WRONG_TYPE, f"{subject(path)}: {NOT_HERE}", span_of(root, path), HOW)
        return
    hint = remedy(violation.schema, value, root, path)
    if hint is None and value is None:
        hint = "give it a value, or remove the key"
    message = f"{subject(path)}: expected {wish(violation.schema)}, not {kind(value)}"
    report.error(Code.WRONG_TYPE, message, span_of(root, path), hint)


def _enum(violation: Violation, root: Node, report: Report) -> None:
    known = [constant(value) for value in violation.wanted]
    hint = remedy(violation.schema, violation.value, root, violation.path)
    if hint is None and isinstance(violation.value, str):
        hint = nearest(violation.value, known)
    message = f"{subject(violation.path)}: expected {listed(known)}"
    report.error(Code.WRONG_VALUE, message, span_of(root, violation.path), hint)


def _format(violation: Violation, root: Node, report: Report) -> None:
    path = violation.path
    if violation.of_name:
        message = f"name '{violation.value}' in {subject(path)}: {violation.message}"
        hint = lacks_space(violation.value)
        report.error(Code.WRONG_VALUE, message, key_span(root, (*path, violation.value)), hint)
        return
    template = violation.schema.get("format") in TEMPLATE_FORMATS
    code = Code.TEMPLATE if template else Code.WRONG_VALUE
    hint = remedy(violation.schema, violation.value, root, path)
    report.error(code, f"{subject(path)}: {violation.message}", span_of(root, path), hint)


def _later(violation: Violation, root: Node, report: Report) -> None:
    what = violation.schema.get("x-later")
    if what is None:
        _other(violation, root, report)
        return
    message = f"{subject(violation.path)}: not available in this version ({what})"
    report.error(Code.LATER, message, key_span(root, violation.path))


def _bound(violation: Violation, root: Node, report: Report) -> None:
    if "x-later" in violation.schema and violation.keyword == "maximum":
        _later(violation, root, report)
        return
    words = {"minimum": "at least", "maximum": "at most"}
    words |= {"exclusiveMinimum": "more than", "exclusiveMaximum": "less than"}
    message = f"{subject(violation.path)}: expected {words[violation.keyword]} {violation.wanted}"
    report.error(Code.WRONG_VALUE, message, span_of(root, violation.path))


def _size(noun: str, bound: str) -> Callable[[Violation, Node, Report], None]:
    def word(violation: Violation, root: Node, report: Report) -> None:
        wanted = f"{bound} {count(violation.wanted, noun)}"
        message = f"{subject(violation.path)}: expected {wanted}"
        report.error(Code.WRONG_VALUE, message, span_of(root, violation.path))

    return word


def _pattern(violation: Violation, root: Node, report: Report) -> None:
    found = _HEXADECIMAL.fullmatch(violation.wanted)
    wanted = f"{found[1]} hexadecimal digits" if found else _PATTERNS.get(violation.wanted)
    if wanted is None:
        _other(violation, root, report)
        return
    message = f"{subject(violation.path)}: expected {wanted}"
    node = find(root, violation.path)
    hint = origin_of(node) if isinstance(node, Scalar) else None
    report.error(Code.WRONG_VALUE, message, span_of(root, violation.path), hint)


def _other(violation: Violation, root: Node, report: Report) -> None:
    schema, path = violation.schema, violation.path
    message = f"{subject(path)}: this value is not allowed"
    said = schema.get("description", "").partition(". ")[0].removesuffix(".")
    hint = remedy(schema, violation.value, root, path) or said or None
    report.error(Code.WRONG_VALUE, message, span_of(root, path), hint)


_WORDS: Mapping[str, Callable[[Violation, Node, Report], None]] = {
    "additionalProperties": _unknown,
    "required": _missing,
    "type": _type,
    "enum": _enum,
    "format": _format,
    "pattern": _pattern,
    "not": _later,
    "minimum": _bound,
    "maximum": _bound,
    "exclusiveMinimum": _bound,
    "exclusiveMaximum": _bound,
    "minItems": _size("entry", "at least"),
    "maxItems": _size("entry", "at most"),
    "minProperties": _size("key", "at least"),
    "maxProperties": _size("key", "at most"),
    "minLength": _size("character", "at least"),
    "maxLength": _size("character", "at most"),
}
