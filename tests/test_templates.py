"""Templates: what compiles, where the others are wrong, what rendering lets through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.templates import MissingValue, Template, TemplateError


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        ("plain", ()),
        ("$5 {x}", ()),
        ("$${claims.sub}", ()),
        ("${claims.sub}", ("claims.sub",)),
        ("a${principal.tenant}b${request.id}", ("principal.tenant", "request.id")),
        ("${request.header.x-tenant}", ("request.header.x-tenant",)),
        ("${request.path.id}/${request.query.page}", ("request.path.id", "request.query.page")),
        ("${service}", ("service",)),
    ],
)
def test_names_are_kept_as_written(text: str, names: tuple[str, ...]) -> None:
    template = Template.compile(text)
    assert (template.names, template.literal, template.text) == (names, not names, text)


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("ab${claims", 2, "never closed"),
        ("${}", 0, "unknown value"),
        ("a${nope.x}", 1, "begins with claims"),
        ("${secret.key}", 0, "'secret' is not known here"),
        ("${claims}", 0, "claims.NAME"),
        ("${principal.name}", 0, "principal.subject"),
        ("${principal.roles.x}", 0, "principal.subject"),
        ("${request.header}", 0, "request.header.NAME"),
        ("${request.header.a.b}", 0, "request.header.NAME"),
        ("${request.id.x}", 0, "request.id"),
        ("${service.name}", 0, r"write \$\{service\}"),
        ("${request.json.a.b}", 0, "'request.json' is not known here"),
        ("${claims.a b}", 0, "claims.NAME"),
    ],
)
def test_a_wrong_name_is_told_with_its_offset(text: str, offset: int, message: str) -> None:
    with pytest.raises(TemplateError, match=message) as caught:
        Template.compile(text)
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    "name",
    [
        "secret.api_key",
        "request.json.a",
        "response.status",
        "response.header.x",
        "response.json.a",
        "event.a.b",
    ],
)
def test_wider_roots_allow_more_names(name: str) -> None:
    roots = ("event", "request", "request.json", "response", "response.json", "secret")
    assert Template.compile(f"${{{name}}}", roots).names == (name,)


def test_values_stand_beside_literals() -> None:
    template = Template.compile("Token ${claims.key}$${x}")
    assert template.render({"claims.key": "a b-c"}.get, quote=False) == "Token a b-c${x}"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_a_quoted_value_adds_no_segment_and_no_query(value: str) -> None:
    rendered = Template.compile("/t/${claims.x}/end").render(lambda _: value, quote=True)
    assert rendered.count("/") == 3
    middle = rendered.removeprefix("/t/").removesuffix("/end")
    assert middle not in {".", ".."}
    assert all(char.isascii() and (char.isalnum() or char in "_~.%") for char in middle)


def test_bytes_that_are_no_text_are_quoted_as_they_were() -> None:
    assert Template.compile("${claims.x}").render(lambda _: "\udcff", quote=True) == "%FF"


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\0", "\x7f"])
def test_a_control_character_never_gets_into_a_header(value: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        Template.compile("${claims.x}").render(lambda _: value, quote=False)


def test_a_missing_value_names_itself() -> None:
    with pytest.raises(MissingValue) as caught:
        Template.compile("${claims.tenant}").render(lambda _: None, quote=True)
    assert caught.value.name == "claims.tenant"


def test_templates_of_one_text_are_equal() -> None:
    assert Template.compile("${claims.a}") == Template.compile("${claims.a}")
    assert Template.compile("${claims.a}") != Template.compile("${claims.b}")
    assert len({Template.compile("a"), Template.compile("a")}) == 1
