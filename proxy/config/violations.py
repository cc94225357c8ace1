"""What a value has against its schema: jsonschema finds it, `complaints` words it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from proxy.config.accept import accepts
from proxy.config.complaints import Violation, complain
from proxy.config.diagnostics import Report
from proxy.config.formats import check_format
from proxy.config.remedies import meant_key
from proxy.config.syntax import lacks_space
from proxy.config.tree import Node, Path
from proxy.plugin.options import is_type, types_of

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

Schema = Mapping[str, Any]

_BESIDE = frozenset({"additionalProperties", "not"})


class Found(NamedTuple):
    """Whether anything is wrong, and the paths of values that can't be used.

    A key that is unknown, or of a later version, is no such path: what stands beside it is good,
    but in a `match`.
    """

    any: bool
    broken: frozenset[Path]


def violations(schema: Schema, value: Any, root: Node, at: Path, report: Report) -> Found:
    """Report all that is wrong with the value at `at`."""
    if accepts(schema, value):
        return Found(any=False, broken=frozenset())
    errors = _validator()(schema).iter_errors(value)
    found = [_violation(leaf, at) for error in errors for leaf in _leaves(error)]
    for violation in _without_echoes(found):
        complain(violation, root, report)
    broken = (each.path for each in found if each.keyword not in _BESIDE or _widens(each.path))
    return Found(any=bool(found), broken=frozenset(broken))


def _widens(path: Path) -> bool:
    """Whether a key that is not understood leaves too much: a `match` without it takes more."""
    return path[-1:] == ("match",)


def _without_echoes(found: Sequence[Violation]) -> Iterator[Violation]:
    """Leave out what one mistake causes beside itself.

    A key that is written under another name is not also missing, and one that has grown together
    with its value has no empty value.
    """
    meant, grown = set[Path](), set[Path]()
    for violation in found:
        if violation.keyword == "additionalProperties":
            names = set(violation.value) - set(violation.schema.get("properties", {}))
            keys = (meant_key(name, violation.value, violation.schema) for name in names)
            meant |= {(*violation.path, key) for key in keys if key}
        elif violation.of_name and lacks_space(violation.value):
            grown.add((*violation.path, violation.value))
    for violation in found:
        if violation.path in grown and violation.value is None:
            continue
        if violation.keyword == "required":
            wanted = [name for name in violation.wanted if (*violation.path, name) not in meant]
            yield violation._replace(wanted=wanted)
        else:
            yield violation


@cache
def _validator() -> Any:
    import jsonschema  # 0.1 s that only a bad file costs

    def check(_validator: Any, _name: str, value: Any, schema: Schema) -> Iterator[ValidationError]:
        try:
            check_format(schema, value)
        except ValueError as error:
            yield jsonschema.ValidationError(str(error))

    def check_type(
        _validator: Any, _types: Any, value: Any, schema: Schema
    ) -> Iterator[ValidationError]:
        if not any(is_type(value, name) for name in types_of(schema)):
            yield jsonschema.ValidationError("type")

    extend: Any = jsonschema.validators.extend
    return extend(jsonschema.Draft7Validator, {"format": check, "type": check_type})


def _violation(error: ValidationError, at: Path) -> Violation:
    schema: Any = error.schema
    return Violation(
        keyword=str(error.validator),
        wanted=error.validator_value,
        value=error.instance,
        path=(*at, *error.absolute_path),
        schema=schema if isinstance(schema, dict) else {},
        message=error.message,
        of_name="propertyNames" in error.absolute_schema_path,
    )


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
