"""The options of `authorize`, as users read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SCOPE = "^[!#-\\[\\]-~]+$"
"""A scope's form (RFC 6749, 3.3): it stands in `WWW-Authenticate` as it is."""


def _words(text: str, pattern: str | None = None) -> Mapping[str, Any]:
    word = {"type": "string", "minLength": 1, "description": "One name."}
    if pattern is not None:
        word |= {"pattern": pattern, "description": "One scope, without spaces and quotes."}
    return {"type": "array", "minItems": 1, "items": word, "description": text}


_VALUE: Mapping[str, Any] = {
    "type": ["string", "number", "boolean"],
    "description": "One value.",
}

_CLAIM: Mapping[str, Any] = {
    "type": ["string", "number", "boolean", "array", "object"],
    "minItems": 1,
    "items": _VALUE,
    "additionalProperties": False,
    "required": ["contains"],
    "properties": {
        "contains": {
            "type": ["string", "number", "boolean", "array"],
            "minItems": 1,
            "items": _VALUE,
            "description": "A value that must be in the claim's list, or a list of values of which "
            "one must be. A claim that is no list counts as a list of one.",
        },
    },
    "description": "The claim's value, a list of values that it may have, or {contains: value} for "
    "a claim that is a list. Compared exactly, with upper and lower case, and by kind: true is not "
    "the text 'true'.",
}

_TENANT: Mapping[str, Any] = {
    "type": ["string", "object"],
    "pattern": "^required$",
    "required": ["equals"],
    "additionalProperties": False,
    "properties": {
        "equals": {
            "type": "string",
            "minLength": 1,
            "format": "template",
            "x-roots": ["request"],
            "description": "What the caller's tenant must be, exactly: a text, or "
            "${request.path.NAME} or ${request.query.NAME}. A query parameter that is missing or "
            "there twice is equal to nothing.",
        },
    },
    "description": "required: the caller must have a tenant. {equals: '${request.path.tenant}'}: "
    "it must be the one that the request names, so that nobody reaches another's. Default: not "
    "looked at.",
}

_RULE: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "One rule: it lets a caller pass who fulfils all that it asks. With nothing but "
    "methods, or nothing at all, it lets every known caller pass.",
    "properties": {
        "methods": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "format": "method", "description": "One method."},
            "description": "Methods that the rule is for. GET includes HEAD. Default all.",
        },
        "scopes": _words("Scopes of which the caller must have all. Default none.", _SCOPE),
        "any_scope": _words("Scopes of which the caller must have one. Default none.", _SCOPE),
        "roles": _words(
            "Roles of which the caller must have one. A to Z are compared without regard to case, "
            "other letters exactly. Default none."
        ),
        "claims": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": _CLAIM,
            "description": "Claims that the caller must have, by name: {plan: pro, "
            "address.country: [DE, FR], groups: {contains: staff}}. A name with dots is looked up "
            "whole, then as a path. Default none.",
        },
        "tenant": _TENANT,
        "anonymous": {
            "type": "boolean",
            "default": False,
            "description": "Whether the rule lets everyone pass, also who is not known, as on a "
            "route that is public or public: optional. Beside it only methods may stand. Default "
            "false.",
        },
    },
}

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["allow"],
    "description": "Lets pass only those callers whom a rule admits; all others get 403.",
    "properties": {
        "allow": {
            "type": "array",
            "minItems": 1,
            "items": _RULE,
            "description": "The rules, of which the first that admits the caller decides; whom none "
            "admits gets 403: scope_missing where a scope is all that is missing, role_missing "
            "where a role is, else access_denied. Where nobody is known and no rule is anonymous "
            "the answer is 401. Where a rule names methods, X-HTTP-Method-Override and its kin are "
            "removed from every request, since an upstream might act on them.",
        },
    },
}
