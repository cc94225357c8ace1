"""A plugin's schema is judged before any option is judged by it."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from proxy.cli.schema import schema
from proxy.config.plugin_schema import checked
from proxy.errors import ConfigError
from proxy.plugin.base import Plugin
from proxy.plugin.stages import Stage


def with_schema(given: Any) -> type[Plugin]:
    return type("Made", (Plugin,), {"schema": given})


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"type": "objekt"}, "plugin 'cors': its schema is not valid at 'type': 'objekt'"),
        (
            {"properties": {"a": {"minimum": "1"}}},
            "plugin 'cors': its schema is not valid at 'properties.a.minimum'",
        ),
        (
            {"properties": {"a": {"pattern": "["}}},
            "plugin 'cors': its schema is not valid at 'properties.a.pattern'",
        ),
        (5, "plugin 'cors': its schema is no mapping"),
        ({"$ref": "#/definitions/none"}, "plugin 'cors' can't be made: "),
    ],
)
def test_a_schema_that_is_none_is_an_error_at_its_entry(
    write: Any, catalog: Any, monkeypatch: pytest.MonkeyPatch, bad: Any, words: str
) -> None:
    monkeypatch.setattr(catalog, "get", lambda _name: with_schema(bad))
    loaded = write.text("version: 1\nplugins:\n  - cors: {a: '${B:-c}'}\n")
    (found,) = loaded.diagnostics
    assert (found.code, found.span.line, found.span.column) == ("BG202", 3, 5)
    assert found.message.startswith(words)


def test_the_schema_command_says_so_too(catalog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.plugin.catalog.Catalog", lambda: catalog)
    monkeypatch.setattr(catalog, "get", lambda _name: with_schema({"type": "objekt"}))
    found = CliRunner().invoke(schema)
    assert (found.exit_code, found.stdout) == (1, "")
    assert "its schema is not valid at 'type'" in found.stderr


def test_a_middleware_that_ends_the_process_is_an_error_at_its_entry(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    write.file("leaving_plugin.py", "import sys\nsys.exit(3)\n")
    (found,) = write.text("version: 1\nplugins: [{use: 'leaving_plugin:x'}]\n").diagnostics
    assert found.code == "BG202"
    assert "leaving_plugin.py:2" in found.message


def test_a_constructor_that_ends_the_process_is_an_error_too(
    write: Any, catalog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(_self: Any, **_options: Any) -> None:
        raise SystemExit(3)

    monkeypatch.setattr(catalog, "get", lambda _name: type("L", (Plugin,), {"__init__": leave}))
    (found,) = write.text("version: 1\nplugins: [cors]\n").diagnostics
    assert found.message == "plugin 'cors' can't be made: SystemExit: 3"


VALUES = st.sampled_from(
    [None, True, 0, -1, 1.5, "", "a", "[", "string", [], ["a"], ["a", "a"], ["string"], {},
     [1, 2], [1, 1], [1, True], {"a": {}}, {"a": 5}, [{}], [5], {"type": "string"}]
)  # fmt: skip
KEYWORDS = st.sampled_from(
    ["type", "properties", "additionalProperties", "propertyNames", "items", "oneOf", "anyOf",
     "required", "enum", "pattern", "writeOnly", "title", "description", "minLength",
     "maxItems", "minimum", "exclusiveMaximum", "default", "const", "x-a", "uniqueItems", "not"]
)  # fmt: skip


@given(st.dictionaries(KEYWORDS, VALUES | st.dictionaries(KEYWORDS, VALUES), max_size=3))
def test_what_is_taken_for_a_schema_is_one_for_jsonschema(made: dict[str, Any]) -> None:
    try:
        jsonschema.Draft7Validator.check_schema(made)
    except jsonschema.SchemaError:
        with pytest.raises(ConfigError):
            checked("x", with_schema(made))
    else:
        assert checked("x", with_schema(made)).schema is made


@pytest.mark.parametrize(
    "schema",
    [
        {"format": "durration"},
        {"properties": {"a": {"type": "string", "format": "durration"}}},
        {"properties": {"a": {"items": {"anyOf": [{"format": "durration"}]}}}},
        {"additionalProperties": {"type": "string", "format": "durration"}},
    ],
)
def test_a_format_that_converts_nothing_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="unknown format 'durration'") as caught:
        checked("x", with_schema(schema))
    assert caught.value.hint == "did you mean 'duration'?"


@pytest.mark.parametrize("stage", [Stage.GUARD, Stage.AUTHORIZE, Stage.HOOK, Stage.CREDENTIALS])
def test_a_plugin_that_guards_nothing_is_refused(stage: Stage) -> None:
    with pytest.raises(ConfigError, match="has no __call__"):
        checked("x", type("X", (Plugin,), {"stage": stage, "_call__": None}))


def test_one_that_only_has_pages_or_tasks_is_not() -> None:
    assert checked("x", type("X", (Plugin,), {}))
