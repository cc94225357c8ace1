"""The options of `compress`, as users read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plugins.compress.breach import SIGNS

TYPES = (
    "text/*",
    "+json",
    "+xml",
    "application/json",
    "application/javascript",
    "application/xml",
    "application/wasm",
    "application/vnd.ms-fontobject",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/x-icon",
)
"""What shrinks: text, and the few binary types that are not compressed by themselves."""


def _level(coding: str, default: int) -> Mapping[str, Any]:
    return {
        "type": "integer",
        "minimum": 1,
        "maximum": 9,
        "default": default,
        "description": f"Level of {coding}, 1 to 9. Default {default}; 9 takes about three times as "
        "long.",
    }


def _types(text: str, default: Sequence[str]) -> Mapping[str, Any]:
    return {
        "type": "array",
        "items": {
            "type": "string",
            "minLength": 1,
            "description": "A media type such as text/html, all of a kind such as text/*, or a "
            "suffix such as +json.",
        },
        "default": list(default),
        "description": text,
    }


SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "Compresses answers by what the client's Accept-Encoding prefers, as they pass. "
    "Left alone: what is coded already, parts (206), event streams, Cache-Control: no-transform, "
    "and answers that may hold a secret. A strong ETag becomes a weak one (W/), with which If-Match "
    "never agrees; ranges are no longer offered. Vary: Accept-Encoding is added to every answer that "
    "could have been compressed.",
    "properties": {
        "codings": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "string",
                "enum": ["zstd", "br", "gzip"],
                "description": "A coding.",
            },
            "description": "Codings in the order in which they are taken where the client likes "
            "several the same. Default zstd, br and gzip, without those whose library is not "
            "installed; one that is listed here and not installed is an error. br and zstd come "
            "with the extra brain-gateway[compress].",
        },
        "level": {
            "type": "object",
            "additionalProperties": False,
            "default": {},
            "description": "How hard each coding tries: a higher level makes answers a little "
            "smaller and costs CPU on every one of them. A stream takes 0.3 MiB (gzip) to 1.7 MiB "
            "(br) of memory while it passes, whatever the level.",
            "properties": {
                "gzip": _level("gzip", 5),
                "br": _level("br", 4),
                "zstd": _level("zstd", 3),
            },
        },
        "min_size": {
            "type": "string",
            "format": "size",
            "default": "1KiB",
            "description": "Answers below this size are sent as they are: they fit one packet "
            "anyway. Default 1KiB. One whose length is not known counts as large.",
        },
        "types": _types(
            "Content types that are compressed. What is given here replaces the default: "
            f"{', '.join(TYPES)}. Event streams and other types that are read line by line are "
            "never compressed, and an error here.",
            TYPES,
        ),
        "more_types": _types(
            "Content types that are compressed beside those of types. Default none.", ()
        ),
        "despite": {
            "type": "array",
            "items": {
                "type": "string",
                "enum": list(SIGNS),
                "description": "A sign of a secret.",
            },
            "default": [],
            "description": "Signs of a secret despite which an answer is compressed: cookie (the "
            "request has a Cookie), authorization (the request has the Basic, Digest, Negotiate or "
            "NTLM credentials that a browser adds by itself), set-cookie, private and no-store "
            "(Cache-Control of the answer). Default none. The size of a compressed answer tells of "
            "its content: where a page of another site can make a browser call with its cookies, "
            "and a part of the request comes back in the answer, secrets in it can be guessed "
            "letter by letter (BREACH). List a sign only where answers repeat nothing of their "
            "request, or hold no secret.",
        },
    },
}
