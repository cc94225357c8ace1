"""What jsonschema finds wrong, as our diagnostics: never its own words, never a `oneOf`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from proxy.config.accept import accepts
from proxy.config.codes import Code
from proxy.config.diagnostics import Report, count, listed, nearest
from proxy.config.formats import check_format
from proxy.config.tree import Node, Path, key_span, span_of
from proxy.config.wording import constant, kind, subject, wish
from proxy.plugin.options import SECRET_KEY, SECRETS_LATER, is_type, types_of

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

Schema = Mapping[str, Any]


def violations(schema: Schema, value: Any, root: Node, at: Path, report: Report) -> set[Path]:
    """Report all that is wrong with the value at `at`; return the paths where it is."""
    if accepts(schema, value):
        return set()
    found = [leaf for error in _validator()(schema).iter_errors(value) for leaf in _leaves(error)]
    for error in found:
        path = (*at, *error.absolute_path)
        _WORDS.get(str(error.validator), _other)(error, path, root, report)
    return {(*at, *error.absolute_path) for error in found}


@cache
def _validator() -> Any:
    from jsonschema import Draft7Validator, ValidationError, validators  # 0.1 s: only for a bad file

    def check(_validator: Any, _name: str, value: Any, schema: Schema) -> Iterator[ValidationError]:
        try:
            check_format(schema, value)
        except ValueError as error:
            yield ValidationError(str(error))

    def check_type(_validator: Any, _types: Any, value: Any, schema: Schema) -> Iterator[ValidationError]:
        if not any(is_type(value, name) for name in types_of(schema)):
            yield ValidationError("type")

    return validators.extend(Draft7Validator, {"format": check, "type": check_type})


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    """Replace a failed alternative by the errors of the branch that was meant: whose type fits."""
    if error.validator not in {"oneOf", "anyOf"}:
        yield error
        return
    branches: dict[Any, list[ValidationError]] = {}
    for below in error.context or ():
        branches.setdefault(below.schema_path[0], []).append(below)
    meant = [found for found in branches.values() if not any(_misses(each) for each in found)]
    if len(meant) != 1:
        yield error
        return
    for below in meant[0]:
        yield from _leaves(below)


def _misses(error: ValidationError) -> bool:
    return not error.relative_path and error.validator in {"type", "const", "enum"}


def _unknown(error: ValidationError, path: Path, root: Node, report: Report) -> None:
    known = [name for name, below in error.schema.get("properties", {}).items() if "not" not in below]
    for name in error.instance:
        if name in error.schema.get("properties", {}) or _ignored(name, error.schema):
            continue
        message = f"unknown key '{name}' in {subject(path)}"
        hint = nearest(name, known) or (f"known: {listed(known, 'and')}" if known else None)
        report.error(Code.UNKNOWN_KEY, message, key_span(root, (*path, name)), hint)


def _ignored(name: str, schema: Schema) -> bool:
    return name.startswith("x-") and "patternProperties" in schema


def _missing(error: ValidationError, path: Path, root: Node, report: Report) -> None:
    for name in error.validator_value:
        if name not in error.instance:
            span = key_span(root, path)
            report.error(Code.MISSING_KEY, f"key '{name}' is missing in {subject(path)}", span)


def _type(error: ValidationError, path: Path, root: Node, report: Report) -> None:
    if isinstance(error.instance, dict) and SECRET_KEY in error.instance:
        report.error(Code.LATER, f"{subject(path)}: {SECRETS_LATER}", key_span(root, path))
        return
    hint = None
    if error.instance is None:
        hint = "give it a value, or remove the key"
    elif isinstance(error.instance, str) and types_of(error.schema) == ("array",):
        hint = "write a list: [a, b]"
    message = f"{subject(path)}: expected {wish(error.schema)}, not {kind(error.instance)}"
    report.error(Code.WRONG_TYPE, message, span_of(root, path), hint)


def _enum(error: ValidationError, path: Path, root: Node, report: Report) -> None:
    known = [constant(value) for value in error.validator_value]
    hint = nearest(error.instance, known) if isinstance(error.instance, str) else None
    message = f"{subject(path)}: expected {listed(known)}"
    report.error(Code.WRONG_VALUE, message, span_of(root, path), hint)


def _format(error: ValidationError, path: Path, root: Node, report: Report) -> None:
    code = Code.TEMPLATE if error.schema.get("format") == "template" else Code.WRONG_VALUE
    if "propertyNames" in error.absolute_schema_path and isinstance(error.instance, str):
        message = f"name '{error.instance}' in {subject(path)}: {error.message}"
        report.error(code, message, key_span(root, (*path, error.instance)))
        return
    report.error(code, f"{subject(path)}: {error.message}", span_of(root, path))


def _later(error: ValidationError, path: Path, root: Node, report: Report) -> None:
    what = error.schema.get("x-later") if isinstance(error.schema, dict) else None
    if what is None:
        _other(error, path, root, report)
        return
    message = f"{subject(path)}: {what} is not available in this version"
    report.error(Code.LATER, message.replace("s is not", "s are not"), key_span(root, path))


def _bound(error: ValidationError, path: Path, root: Node, report: Report) -> None:
    if "x-later" in error.schema:
        _later(error, path, root, report)
        return
    least, most = error.schema.get("minimum"), error.schema.get("maximum")
    limits = [f"at least {least}"] * (least is not None) + [f"at most {most}"] * (most is not None)
    report.error(
        Code.WRONG_VALUE,
        f"{subject(path)}: expected a number, {listed(limits, 'and') if limits else 'within its bounds'}",
        span_of(root, path),
    )


def _size(noun: str, least: bool) -> Callable[[ValidationError, Path, Node, Report], None]:
    def word(error: ValidationError, path: Path, root: Node, report: Report) -> None:
        bound = f"{'at least' if least else 'at most'} {count(error.validator_value, noun)}"
        report.error(Code.WRONG_VALUE, f"{subject(path)}: expected {bound}", span_of(root, path))

    return word


def _other(error: ValidationError, path: Path, root: Node, report: Report) -> None:
    meaning = error.schema.get("description") if isinstance(error.schema, dict) else None
    report.error(Code.WRONG_VALUE, f"{subject(path)}: this is not allowed here", span_of(root, path), meaning)


_WORDS: Mapping[str, Callable[[ValidationError, Path, Node, Report], None]] = {
    "additionalProperties": _unknown,
    "required": _missing,
    "type": _type,
    "enum": _enum,
    "format": _format,
    "not": _later,
    "minimum": _bound,
    "maximum": _bound,
    "exclusiveMinimum": _bound,
    "exclusiveMaximum": _bound,
    "minItems": _size("entry", least=True),
    "maxItems": _size("entry", least=False),
    "minProperties": _size("key", least=True),
    "maxProperties": _size("key", least=False),
    "minLength": _size("character", least=True),
    "maxLength": _size("character", least=False),
}
