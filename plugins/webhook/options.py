"""The options of `webhook`, as users read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plugins.webhook.providers import CUSTOM, PROVIDERS, SALEOR
from proxy import STORE_SCHEMA

_NAME = "^[A-Za-z0-9-]+$"

_CUSTOM: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["header"],
    "description": "How a provider signs that is none of those known; for provider: hmac.",
    "properties": {
        "header": {
            "type": "string",
            "pattern": _NAME,
            "description": "Header that holds the signature.",
        },
        "algorithm": {
            "type": "string",
            "enum": ["sha256", "sha512"],
            "default": "sha256",
            "description": "The hash of the HMAC. Default sha256.",
        },
        "encoding": {
            "type": "string",
            "enum": ["hex", "base64"],
            "default": "hex",
            "description": "How the signature is written. Default hex.",
        },
        "prefix": {
            "type": "string",
            "maxLength": 32,
            "default": "",
            "description": "What stands before the signature, such as sha256=. Default nothing.",
        },
        "payload": {
            "type": "string",
            "maxLength": 128,
            "default": "{body}",
            "description": "What is signed: {body} once, {timestamp} before it where the time is signed "
            "too, and any text around them, such as v0:{timestamp}:{body}. Default {body}.",
        },
        "timestamp_header": {
            "type": "string",
            "pattern": _NAME,
            "description": "Header that holds the signed time in seconds since 1970. Needed with "
            "{timestamp}. Default none.",
        },
    },
}

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["provider"],
    "description": "Lets in whoever signs the request's body as a provider of webhooks does. The "
    "signature is checked on the raw bytes before anything reads them, and the body goes on byte for "
    "byte. Named on a route it replaces the authenticators of the levels outside.",
    "properties": {
        "provider": {
            "type": "string",
            "enum": [*PROVIDERS, SALEOR, CUSTOM],
            "description": "Who signs: stripe, github, shopify, razorpay, saleor (a detached JWS), or "
            "hmac, whose way the option of that name tells.",
        },
        "hmac": _CUSTOM,
        "secrets": {
            "type": "array",
            "minItems": 1,
            "maxItems": 4,
            "items": {
                "type": "object",
                "format": "secret",
                "description": "{secret: PATH, field: NAME} of a secret store.",
            },
            "description": "The secrets that the provider signs with, as it shows them. Several while "
            "it moves to a new one: a signature by any of them is good. Needed but for saleor.",
        },
        "jwks_uri": {
            "type": "string",
            "pattern": "^https?://[^/?#@\\s]+/[^#\\s]*$",
            "description": "Where saleor's public keys are, such as "
            "https://shop.example.com/.well-known/jwks.json. Needed for saleor alone.",
        },
        "tolerance": {
            "type": "string",
            "format": "timer",
            "default": "5m",
            "description": "By how much a signed time may differ from now, either way; otherwise 401 "
            "webhook_expired. At most 1h. Default 5m.",
        },
        "replay": {
            "type": "string",
            "format": "duration",
            "description": "For how long a delivery is remembered that was answered by 2xx; the same "
            "again is 409 webhook_replayed. 0s remembers nothing. Default: for stripe, and hmac with "
            "{timestamp}, as long as the signed time lets it through; 10m for github, shopify, razorpay "
            "and hmac without; 0s for saleor, which asks the same thing again, byte for byte.",
        },
        "store": STORE_SCHEMA,
        "max_body": {
            "type": "string",
            "format": "size",
            "default": "1MiB",
            "description": "The largest body, which is held in memory until it is verified; above it is "
            "413. At most 16MiB. Default 1MiB.",
        },
        "name": {
            "type": "string",
            "minLength": 1,
            "description": "The principal's subject. Default the provider's name.",
        },
        "tenant": {
            "type": "string",
            "minLength": 1,
            "description": "The principal's tenant. Default none.",
        },
    },
}
