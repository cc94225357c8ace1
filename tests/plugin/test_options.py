"""Options on their way from YAML to a constructor."""

from typing import Any

import pytest

from proxy.plugin.options import convert
from proxy.templates import Template, TemplateError
from proxy.units import Rate


def text(form: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "format": form, **more}


@pytest.mark.parametrize(
    ("schema", "given", "converted"),
    [
        (text("duration"), "250ms", 0.25),
        (text("timer"), "2s", 2.0),
        (text("size"), "64KiB", 65536),
        (text("rate"), "50/s", Rate(50, 1.0)),
        (text("percent"), "20%", 0.2),
        (text("template"), "${claims.sub}", Template.compile("${claims.sub}")),
        (text("uri"), "as:it:is", "as:it:is"),
        ({"type": "string"}, "5s", "5s"),
        ({"type": "array", "items": text("duration")}, ["1s", "2s"], [1.0, 2.0]),
        ({"type": "object", "additionalProperties": text("size")}, {"a": "1KiB"}, {"a": 1024}),
        ({"type": ["string", "integer"], "format": "duration"}, 5, 5),
        ({"type": "object"}, {"any": ["5s"]}, {"any": ["5s"]}),
        ({"properties": {"a": True, "b": False}}, {"a": "5s"}, {"a": "5s"}),
    ],
)
def test_a_format_becomes_a_value(schema: dict[str, Any], given: Any, converted: Any) -> None:
    assert convert(schema, given) == converted


def test_defaults_are_applied_at_every_depth_and_converted_too() -> None:
    schema = {
        "type": "object",
        "properties": {
            "ttl": text("duration", default="1m"),
            "on": {"type": "boolean", "default": True},
            "inner": {
                "type": "object",
                "default": {},
                "properties": {"size": text("size", default="1KiB")},
            },
            "absent": {"type": "string"},
        },
    }
    assert convert(schema, {}) == {"ttl": 60.0, "on": True, "inner": {"size": 1024}}
    assert convert(schema, {"ttl": "1s", "on": False})["ttl"] == 1.0


def test_what_was_given_is_left_as_it_was() -> None:
    given = {"inner": {"ttl": "1s"}}
    convert(
        {"properties": {"inner": {"type": "object", "properties": {"ttl": text("duration")}}}},
        given,
    )
    assert given == {"inner": {"ttl": "1s"}}


@pytest.mark.parametrize("union", ["oneOf", "anyOf"])
@pytest.mark.parametrize(
    ("given", "converted"),
    [
        ("1KiB", 1024),
        (7, 7),
        ({"kind": "time", "value": "1s"}, {"kind": "time", "value": 1.0}),
        ({"value": "1s"}, {"value": "1s"}),
        (["1s"], [1.0]),
    ],
)
def test_of_several_alternatives_the_first_that_fits_converts(
    union: str, given: Any, converted: Any
) -> None:
    timed = {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"const": "time"}, "value": text("duration")},
    }
    schema = {
        union: [
            text("size"),
            {"type": "integer"},
            timed,
            {"type": "object"},
            {"type": "array", "items": text("duration")},
        ]
    }
    assert convert(schema, given) == converted


@pytest.mark.parametrize(
    ("schema", "given", "words"),
    [
        (text("duration"), "soon", "a duration such as"),
        (text("timer"), "0s", "above zero"),
        (text("secret"), "x", "does not stand in the file"),
    ],
)
def test_a_text_of_another_form_is_refused(schema: dict[str, Any], given: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        convert(schema, given)


def test_a_schema_says_which_roots_its_templates_may_name() -> None:
    widened = text("template", **{"x-roots": ["response"]})
    assert convert(widened, "${response.status}").names == ("response.status",)
    with pytest.raises(TemplateError, match="use response"):
        convert(widened, "${claims.sub}")
