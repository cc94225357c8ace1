"""The options of `identity-headers`, as users read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DEFAULT: Mapping[str, Any] = {
    "X-User-Id": "${principal.subject}",
    "X-Tenant-Id": "${principal.tenant}",
    "X-User-Roles": "${principal.roles}",
    "X-User-Email": "${claims.email}",
    "X-User-Name": ["${claims.name}", "${claims.preferred_username}"],
}

_TEMPLATE: Mapping[str, Any] = {
    "type": "string",
    "minLength": 1,
    "format": "template",
    "x-roots": ["principal", "claims"],
    "description": "A text with ${principal.subject}, ${principal.tenant}, ${principal.roles} or "
    "${claims.NAME} in it.",
}

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "Sets headers that tell the upstream who calls. What a client sends under these "
    "names is removed on every route, also on public ones, where they are not set. Letters outside "
    "of ASCII, '%' and spaces at an end are percent-encoded as UTF-8, commas too in an item of a "
    "list: an upstream that decodes gets exactly what the claim was.",
    "properties": {
        "headers": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": "^[A-Za-z0-9-]+$"},
            "additionalProperties": {
                **_TEMPLATE,
                "type": ["string", "array"],
                "minItems": 1,
                "items": _TEMPLATE,
                "description": "Its value: a text with ${principal.subject}, ${principal.tenant}, "
                "${principal.roles} or ${claims.NAME} in it, or a list of such texts, of which the "
                "first counts whose values are all there. Where none is, the header is not sent: no "
                "value stands in for a missing one.",
            },
            "default": DEFAULT,
            "description": "Headers by name. Default X-User-Id (subject), X-Tenant-Id, X-User-Roles "
            "(sorted, with commas between), X-User-Email (claim email, unless email_verified says "
            "false) and X-User-Name (claim name, else preferred_username). What is given here "
            "replaces all of these.",
        },
        "max_length": {
            "type": "string",
            "format": "size",
            "default": "4KiB",
            "description": "How long a value may be. Default 4KiB. A caller with a longer one gets "
            "403 claim_invalid: half a list of roles would be another one.",
        },
    },
}
