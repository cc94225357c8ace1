"""Environment values: put in once, typed by the schema, never scanned again."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.environment import BadReference, expand
from proxy.config.scalars import typed
from proxy.templates import Template

SERVICE = "version: 1\nservices:\n  x: {upstream: http://x, public: true, "


@pytest.mark.parametrize(
    ("text", "value", "whole"),
    [
        ("plain", "plain", False),
        ("${A}", "1", True),
        ("x${A}y${A}", "x1y1", False),
        ("${NONE:-}", "", True),
        ("${EMPTY:-d}", "d", True),
        ("${EMPTY}", "", True),
        ("${NONE:-http://h:1/a}", "http://h:1/a", True),
        ("$${A}", "${A}", False),
        ("$A", "$A", False),
        ("${NESTED}", "${A}", True),
        ("${claims.sub}", "${claims.sub}", False),
    ],
)
def test_a_reference_is_replaced_once(text: str, value: str, whole: bool) -> None:
    expanded = expand(text, {"A": "1", "EMPTY": "", "NESTED": "${A}"})
    assert (expanded.value, expanded.whole) == (value, whole)


@pytest.mark.parametrize(
    "text", ["${none}", "${Mixed}", "${", "${}", "${1A}", "${A:-${B}}", "${A:=x}"]
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    if text == "${none}":  # a per-request name: the schema decides where it may stand
        assert expand(text, {}).template == text
        return
    with pytest.raises(BadReference) as caught:
        expand(text, {})
    assert caught.value.unset is None


def test_an_unset_variable_is_named() -> None:
    with pytest.raises(BadReference) as caught:
        expand("ab${NAME}", {})
    assert (caught.value.unset, caught.value.offset, caught.value.length) == ("NAME", 2, 7)


@given(st.text("${}:-aclims.sub", max_size=24), st.text("${}ab", max_size=6))
def test_nothing_from_the_environment_becomes_a_template(value: str, around: str) -> None:
    """Whatever a value spells, alone or with its neighbours, it is rendered as it was."""
    text = around.replace("${", "").replace("$", "s") + "${A}" + "${B}"
    expanded = expand(text, {"A": value, "B": value})
    template = Template.compile(expanded.template)
    assert template.literal
    assert template.render(lambda _: None, quote=False) == expanded.value


def test_a_dollar_before_a_template_is_refused_since_it_would_make_it_literal() -> None:
    with pytest.raises(BadReference):
        expand("${A}${claims.sub}", {"A": "$"})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("true", True), ("FALSE", False),
        ("on", "on"), ("no", "no"), ("yes", "yes"), ("1:30", "1:30"), ("1_000", "1_000"),
        ("0", 0), ("-17", -17), ("0x1F", 31), ("0o17", 15), ("1.5", 1.5), (".5", 0.5),
        ("1e3", 1000.0), ("1.2.3", "1.2.3"), ("-", "-"), ("0x", "0x"), ("2026-11-23", "2026-11-23"),
    ],
)  # fmt: skip
def test_plain_scalars_follow_yaml_1_2(text: str, value: Any) -> None:
    found = typed(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text", ["010", "-007", "00.5", ".inf", "-.INF", ".nan", "1e999", "9" * 5000]
)
def test_numbers_that_nobody_means_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quote it"):
        typed(text)


def test_the_schema_gives_the_type_after_expansion(write: Any) -> None:
    text = (
        'version: 1\ngateway:\n  limits: {connections: "${N}"}\n'
        "  ready_requires: ${LIST}\n  trusted_proxies: ${NONE:-}\n"
        "services:\n  x: {upstream: http://x, public: '${OPEN}', forward_cookies: ['${N}']}\n"
    )
    loaded = write.text(text, N="17", LIST="a, b,", OPEN="true")
    assert loaded.diagnostics == ()
    gateway, route = loaded.config.gateway, loaded.config.routes[0]
    assert gateway.limits.connections == 17
    assert gateway.ready_requires == ("a", "b")
    assert gateway.trusted_proxies == ()
    assert route.forward_cookies == ("17",)


def test_a_value_of_the_environment_is_never_shown(write: Any) -> None:
    loaded = write.text(
        SERVICE + 'timeouts: {idle: "${SECRET}"}, aliases: ["${SECRET}"]}', SECRET="hunter2!"
    )
    assert len(loaded.diagnostics) == 2
    assert "hunter2" not in loaded.render()


def test_the_effective_tree_keeps_references_as_written(write: Any) -> None:
    loaded = write.text(SERVICE + 'host: "${NAME}"}\nx-note: 1\n', NAME="a.example")
    assert loaded.config.routes[0].host == "a.example"
    effective = json.loads(loaded.config.effective)
    assert effective["services"]["x"]["host"] == "${NAME}"
    assert "x-note" not in effective
    assert effective["version"] == 1


def test_the_revision_follows_values_and_not_comments(write: Any) -> None:
    text = SERVICE + 'host: "${NAME}"}\n'
    first = write.text(text, NAME="a").config.revision
    assert write.text("# note\n" + text, NAME="a").config.revision == first
    assert write.text(text, NAME="b").config.revision != first


def test_the_revision_follows_certificates(write: Any) -> None:
    text = "version: 1\ngateway: {tls: {cert: c.pem, key: k.pem}}\n"
    write.file("c.pem", "one")
    write.file("k.pem", "one")
    first = write.text(text).config
    write.file("c.pem", "two")
    second = write.text(text).config
    assert first.revision != second.revision
    assert second.watched == ("routes.yaml", "c.pem", "k.pem")
