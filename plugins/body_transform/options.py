"""The options of `body-transform`, as users read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_REQUEST_ROOTS = ("request", "principal", "claims", "service")
_RESPONSE_ROOTS = (*_REQUEST_ROOTS, "response")

_DEPTH = 3
"""Levels below a value at which texts are templates still. Schemas here have no references."""

_ANY = ["object", "array", "string", "number", "boolean", "null"]


def _value(roots: Sequence[str], depth: int) -> Mapping[str, Any]:
    below = _value(roots, depth - 1) if depth else True
    return {
        "type": _ANY,
        "format": "template",
        "x-roots": list(roots),
        "items": below,
        "additionalProperties": below,
        "description": "Any JSON; a text is a template.",
    }


def _pointer(text: str) -> Mapping[str, Any]:
    return {"type": "string", "minLength": 1, "description": text}


def _edits(whose: str, roots: Sequence[str], missing: str, refusals: str, other: str) -> Any:
    return {
        "type": "object",
        "additionalProperties": False,
        "default": {},
        "description": f"Edits to {whose}: remove is done first, then rename, then set. Places are "
        "JSON Pointers (RFC 6901): /user/name, /items/0, /items/- for a new last element; '/' within "
        f"a name is ~1, '~' is ~0. What no edit reaches stays as it was written. {refusals}",
        "properties": {
            "set": {
                "type": "object",
                "default": {},
                "additionalProperties": _value(roots, _DEPTH),
                "description": "Places to values: any JSON, whose texts may be templates such as "
                f"${{principal.tenant}}, which hold {', '.join(roots)} and give text, as the "
                "environment does. What is there is replaced; objects that are missing on the way, "
                f"or null, are made. Default none. {missing} Where the body has something else on "
                "the way, such as a number, it is refused.",
            },
            "remove": {
                "type": "array",
                "default": [],
                "items": _pointer("Where the field stands."),
                "description": "Places of fields that are removed, in this order; one that is not "
                "there is no error. Default none.",
            },
            "rename": {
                "type": "object",
                "default": {},
                "additionalProperties": _pointer("Where it goes."),
                "description": "Places to new places, for renaming and moving; all are taken before "
                "any is put, so two can be swapped. What is at the new place is replaced; a field "
                "that is not there is no error. Default none.",
            },
            "max_size": {
                "type": "string",
                "format": "size",
                "default": "1MiB",
                "description": "How large a body may be, coded and decoded: it is held in memory "
                f"whole. Default 1MiB. A larger one answers {other}.",
            },
            "on_other": {
                "type": "string",
                "enum": ["pass", "refuse"],
                "default": "pass",
                "description": "What becomes of a body whose Content-Type is neither "
                "application/json nor ends with +json. Default pass: it goes on as it is. Say "
                "refuse where edits protect something: a label is easily changed, and not every "
                "reader looks at it.",
            },
        },
    }


SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "Sets, removes and renames fields of JSON bodies. A body in which nothing changes "
    "is sent byte for byte as it was; a changed one is sent uncoded, without the entity tag and "
    "digests of the old one. A body in which a name stands twice is not valid here: readers differ "
    "on which one counts.",
    "properties": {
        "request": _edits(
            "the request's body",
            _REQUEST_ROOTS,
            "A value that the client did not send answers 400, a missing claim 403.",
            "A body that is not JSON though it is called so answers 400 body_json_invalid, one that "
            "an edit does not fit 422 body_shape_refused, one of another type, where on_other says "
            "refuse, 415 body_type_refused. A request without a body is left alone.",
            "413",
        ),
        "response": _edits(
            "the answer's body, whatever its status; the gateway's own errors stay as they are",
            _RESPONSE_ROOTS,
            "A place whose value is missing is left as it is: the upstream has acted already.",
            "A body that is not JSON though it is called so answers 502 answer_json_invalid, one "
            "that an edit does not fit 502 answer_shape_refused, one of another type, where on_other "
            "says refuse, 502 answer_type_refused. Where anything is given here, the upstream is "
            "asked for whole and uncoded answers: Range is removed from the request, and "
            "Accept-Encoding says identity.",
            "502 answer_too_large",
        ),
    },
}
