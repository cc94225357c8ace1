"""The published schema takes every good file as it is written, references to the environment in."""

import re
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from proxy.cli.schema import whole_schema
from proxy.config.published import as_loaded, as_published
from proxy.config.schema import read_schema
from proxy.plugin.catalog import GROUP, Catalog

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def first_party() -> Catalog:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    points = project["entry-points"][GROUP]
    return Catalog([EntryPoint(name, value, GROUP) for name, value in points.items()])


SCHEMAS = {
    "the file": read_schema("routes.schema.json"),
    "brain schema": whole_schema(first_party()),
}
README = [
    block
    for block in FENCE.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    if block.startswith(("version:", "# yaml-language-server"))
]
FILES = {
    "routes.yaml": (ROOT / "routes.yaml").read_text(encoding="utf-8"),
    "everything.yaml": (ROOT / "tests/config/everything.yaml").read_text(encoding="utf-8"),
    **{f"README.md#{number}": block for number, block in enumerate(README, 1)},
}
PAIRS = [(schema, name) for schema in SCHEMAS for name in FILES]
PAIRS.remove(("brain schema", "everything.yaml"))  # its plugins are not the shipped ones


def told(schema: Any, document: Any) -> list[str]:
    found = jsonschema.Draft7Validator(schema).iter_errors(document)
    return [f"{list(error.absolute_path)}: {error.message}" for error in found]


def test_there_are_blocks_of_the_readme_to_be_checked() -> None:
    assert len(README) >= 2


@pytest.mark.parametrize(("schema", "name"), PAIRS)
def test_a_good_file_is_taken_as_it_is_written(schema: str, name: str) -> None:
    assert told(SCHEMAS[schema], yaml.safe_load(FILES[name])) == []


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize(
    ("section", "good"),
    [
        ({"gateway": {"limits": {"connections": "${N:-1}"}}}, True),
        ({"gateway": {"limits": {"connections": "many"}}}, False),
        ({"gateway": {"trusted_proxies": "${PROXIES}"}}, True),
        ({"gateway": {"trusted_proxies": "10.0.0.0/8"}}, False),
        ({"log": {"level": "${LEVEL:-info}"}}, True),
        ({"log": {"level": "loud"}}, False),
        ({"fallback": {"upstream": "http://x", "public": "${OPEN}"}}, True),
        ({"fallback": {"upstream": "http://x", "public": "yes"}}, False),
        ({"fallback": {"upstream": "http://x", "rewrite": "${BASE}/"}}, False),
        ({"gateway": "${GATEWAY}"}, False),
    ],
)
def test_a_reference_may_stand_for_every_value_and_for_no_mapping(
    schema: str, section: dict[str, Any], good: bool
) -> None:
    assert (told(SCHEMAS[schema], {"version": 1, **section}) == []) == good


@pytest.mark.parametrize(
    ("options", "good"),
    [
        ({"sha256": "${KEY}"}, True),
        ({"sha256": ["${KEY}"]}, True),
        ({"sha256": "0123"}, False),
    ],
)
def test_options_of_plugins_may_be_references_too(options: dict[str, Any], good: bool) -> None:
    entry = {"api-key": {"keys": [{"name": "x", **options}]}}
    assert (told(SCHEMAS["brain schema"], {"version": 1, "plugins": [entry]}) == []) == good


def test_the_file_is_what_is_made_of_the_strict_language() -> None:
    """A new key that no text could be needs its second alternative: `published.REFERENCE`."""
    written = read_schema("routes.schema.json")
    assert as_published(as_loaded(written)) == written


@pytest.mark.parametrize(
    "strict",
    [
        {"type": "integer", "description": "A number.", "default": 1},
        {"oneOf": [{"type": "integer"}, {"type": "array", "items": {"enum": ["a"]}}]},
        {"type": "object", "additionalProperties": {"type": "boolean"}},
        {"type": "string", "minLength": 8},
        {"anyOf": [{"const": 1}, True]},
    ],
)
def test_a_plugins_schema_is_the_same_behind_its_references(strict: dict[str, Any]) -> None:
    published = as_published(strict)
    assert published != strict
    assert as_loaded(published) == strict
