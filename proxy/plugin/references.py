"""Options that name where a credential is kept: `{secret: path, field: name, store: name}`.

A schema marks one by `{"type": "object", "format": "secret", "description": …}`; what stands in it
is the same everywhere, and filled in here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from proxy.ports.secrets import FIELD_PATTERN, PATH_FORM, PATH_PATTERN, SecretRef

SECRET_KEY = "secret"  # noqa: S105  the key in YAML, not a secret
FIELD_KEY = "field"
STORE_KEY = "store"

NOT_HERE = "a credential does not stand in the file: name where it is kept"
HOW = "write {secret: platform/redis, field: url}, with your path and field"

_REFERENCE: Mapping[str, Any] = {
    "type": "object",
    "format": "secret",
    "additionalProperties": False,
    "required": [SECRET_KEY, FIELD_KEY],
    "properties": {
        SECRET_KEY: {
            "type": "string",
            "pattern": PATH_PATTERN,
            "description": f"Path in the store: {PATH_FORM}.",
        },
        FIELD_KEY: {
            "type": "string",
            "pattern": FIELD_PATTERN,
            "description": "Name of the field there, such as url.",
        },
        STORE_KEY: {
            "type": "string",
            "minLength": 1,
            "description": "Which store of the section 'secrets': file, env or vault. Needed "
            "only where there are several.",
        },
    },
}

_BELOW = ("items", "additionalProperties", "propertyNames", "not")
_SEVERAL = ("oneOf", "anyOf", "allOf")
_NAMED = ("properties", "patternProperties", "definitions")


def with_references(schema: Any) -> Any:
    """Return a plugin's schema in which every `format: secret` says what stands in it."""
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == SECRET_KEY:
        return {**schema, **_REFERENCE}
    changed = dict(schema)
    for key in schema.keys() & _BELOW:
        changed[key] = with_references(schema[key])
    for key in schema.keys() & _SEVERAL:
        changed[key] = [with_references(each) for each in schema[key]]
    for key in schema.keys() & _NAMED:
        changed[key] = {name: with_references(below) for name, below in schema[key].items()}
    return changed


def is_reference(value: object) -> TypeGuard[Mapping[str, str]]:
    """Say whether an option as it is written names a place in a store."""
    return (
        isinstance(value, Mapping)
        and SECRET_KEY in value
        and FIELD_KEY in value
        and value.keys() <= {SECRET_KEY, FIELD_KEY, STORE_KEY}
        and all(isinstance(each, str) for each in value.values())
    )


def reference_of(value: object) -> SecretRef:
    """Return what an option names. Raises ValueError where it is no reference."""
    if not is_reference(value):
        raise ValueError(NOT_HERE)
    return SecretRef(value[SECRET_KEY], value[FIELD_KEY], value.get(STORE_KEY))
