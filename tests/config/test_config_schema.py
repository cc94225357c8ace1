"""The schema defines the language: it says all, agrees with the models, and is obeyed."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.accept import accepts
from proxy.config.diagnostics import Report
from proxy.config.models import Gateway, Limits, Log, RouteSpec, Timeouts, UpstreamSpec, UpstreamTls
from proxy.config.schema import language, read_schema
from proxy.config.source import Source, Span
from proxy.config.tree import Mapping
from proxy.config.violations import violations
from proxy.plugin.options import convert_text


def keys(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key of the language with its schema, by its path."""
    if not isinstance(schema, dict):
        return
    for name, below in schema.get("properties", {}).items():
        yield f"{path}.{name}", below
        yield from keys(below, f"{path}.{name}")
    yield from keys(schema.get("items"), f"{path}[]")
    yield from keys(schema.get("additionalProperties"), f"{path}.*")


KEYS = dict(keys(language()))


def test_the_schema_is_a_valid_draft_7_schema() -> None:
    jsonschema.Draft7Validator.check_schema(read_schema("routes.schema.json"))


def test_every_key_is_described_in_a_sentence() -> None:
    assert len(KEYS) > 100
    assert [
        path for path, below in KEYS.items() if not below.get("description", "").endswith(".")
    ] == []


def test_every_key_states_its_default_or_that_it_has_none() -> None:
    """Blocks speak through their keys; 'not' marks keys of later versions."""
    silent = [
        path
        for path, below in KEYS.items()
        if "default" not in below["description"].lower()
        and "not" not in below
        and below.get("type") != "object"
        and path not in {".services.*.upstream", ".routes"}
    ]
    assert silent == []


def test_every_mapping_refuses_unknown_keys() -> None:
    open_ones = [
        path
        for path, below in KEYS.items()
        if "properties" in below and below.get("additionalProperties") is not False
    ]
    assert open_ones == []
    assert language()["additionalProperties"] is False


def blocks() -> Iterator[tuple[str, dict[str, Any], Any]]:
    top = language()["properties"]
    gateway, service = Gateway(), top["services"]["additionalProperties"]["properties"]
    yield "gateway", top["gateway"]["properties"], gateway
    for name in ("limits", "timeouts", "shutdown", "recent"):
        yield (
            f"gateway.{name}",
            top["gateway"]["properties"][name]["properties"],
            getattr(gateway, name),
        )
    yield "log", top["log"]["properties"], Log()
    yield "timeouts", service["timeouts"]["properties"], Timeouts()
    yield "limits", service["limits"]["properties"], Limits()
    upstream = service["upstream"]["properties"]
    yield "upstream", upstream, UpstreamSpec("", ())
    yield "upstream.tls", upstream["tls"]["properties"], UpstreamTls()


@pytest.mark.parametrize(
    ("name", "properties", "model"),
    list(blocks()),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_defaults_of_the_schema_are_those_of_the_models(
    name: str, properties: dict[str, Any], model: Any
) -> None:
    compared = 0
    for key, below in properties.items():
        if "default" not in below:
            continue
        default = below["default"]
        converted = convert_text(below, default) if isinstance(default, str) else default
        expected = getattr(model, key)
        expected = list(expected) if isinstance(expected, tuple) else expected
        assert converted == (str(expected) if dataclasses.is_dataclass(expected) else expected), key
        compared += 1
    assert compared


@pytest.mark.parametrize("model", [Timeouts, Limits])
def test_every_field_of_a_model_is_a_key(model: type[Any]) -> None:
    service = language()["properties"]["services"]["additionalProperties"]["properties"]
    fields = {field.name for field in dataclasses.fields(model)}
    assert set(service[model.__name__.lower()]["properties"]) == fields


def test_switches_of_a_route_have_the_defaults_of_the_model() -> None:
    service = language()["properties"]["services"]["additionalProperties"]["properties"]
    defaults = {field.name: field.default for field in dataclasses.fields(RouteSpec)}
    defaults = {name: [*one] if one == () else one for name, one in defaults.items()}
    shared = [name for name in service if name in defaults and "default" in service[name]]
    assert len(shared) >= 5
    assert {name: service[name]["default"] for name in shared} == {
        name: defaults[name] for name in shared
    }


def test_services_and_routes_share_their_definitions() -> None:
    """What is settable on a service is settable on a route, but for what makes it a service."""
    definitions = read_schema("routes.schema.json")["definitions"]
    service, route = definitions["service"]["properties"], definitions["route"]["properties"]
    only_service = {"aliases", "routes"}
    assert set(service) - set(route) == only_service
    assert set(route) - set(service) == {"name", "match", "rewrite", "workflow"}
    assert all(service[name] == route[name] for name in set(service) & set(route))


SCALARS = st.none() | st.booleans() | st.integers(-2, 300) | st.floats(-1, 2) | st.text(max_size=3)
WORDS = st.sampled_from(
    ["5s", "0s", "10MiB", "http://x", "http://x/a", "service/a", "/x", "/x/*", "GET", "all", "any",
     "jwt", "optional", "rewrite", "10.0.0.0/8", ":8080", "${claims.sub}", "info", "json"]
)  # fmt: skip
NAMES = st.sampled_from(
    [*sorted({path.rpartition(".")[2] for path in KEYS}), "x", "x-y", "as", "use"]
)
VALUES = st.recursive(
    SCALARS | WORDS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(NAMES, below, max_size=4),
    max_leaves=12,
)
DRAWN = st.sampled_from([language(), *KEYS.values()])


@given(DRAWN, VALUES)
def test_what_is_accepted_quickly_has_no_violations(schema: dict[str, Any], value: Any) -> None:
    """The quick way and jsonschema agree, on the schema itself and on each of its parts."""
    report, root = Report(), Mapping(Span(Source("x", "x: y"), 1, 1))
    found = violations(schema, value, root, (), report)
    assert accepts(schema, value) == (not found.any)
    plain = jsonschema.Draft7Validator(schema)
    if accepts(schema, value):
        assert list(plain.iter_errors(value)) == []


KEYWORDS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["string", "integer", "object", "array", ["null", "number"]]),
        "enum": st.lists(SCALARS, min_size=1, max_size=3),
        "const": SCALARS,
        "minimum": st.integers(-1, 5),
        "exclusiveMaximum": st.integers(-1, 5),
        "minLength": st.integers(0, 3),
        "maxLength": st.integers(0, 3),
        "minItems": st.integers(0, 2),
        "maxProperties": st.integers(0, 2),
        "pattern": st.sampled_from(["^a", "[0-9]"]),
        "required": st.lists(st.sampled_from("ab"), max_size=2, unique=True),
        "not": st.just({"type": "string"}),
        "uniqueItems": st.just(True),
        "propertyNames": st.just({"pattern": "^a"}),
        "patternProperties": st.just({"^a": {"type": "integer"}}),
        "additionalProperties": st.sampled_from([True, False, {"type": "string"}]),
        "properties": st.just({"a": {"type": "string"}}),
    },
)
SCHEMAS = st.recursive(
    KEYWORDS,
    lambda below: st.fixed_dictionaries(
        {}, optional={"items": below, "anyOf": st.lists(below, min_size=1, max_size=2)}
    ),
    max_leaves=3,
)
SMALL = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from("abc"), below),
    max_leaves=6,
)


@given(SCHEMAS, SMALL)
def test_no_plugins_schema_is_accepted_against_jsonschema(
    schema: dict[str, Any], value: Any
) -> None:
    """Acceptance may be too careful, never too generous."""
    if accepts(schema, value):
        assert jsonschema.Draft7Validator(schema).is_valid(value)
