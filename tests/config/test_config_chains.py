"""Chains: which plugins stand around a route, in which order, and who may call."""

from typing import Any

import pytest

from proxy.config.models import Access, Config

HEAD = """version: 1
plugins:
  - headers: {set: {X-A: global}}
  - jwt: {issuer: "https://sso"}
  - cors
  - request-id
services:
  x:
    upstream: http://x
"""


def chain(config: Config, at: int = 0) -> list[str]:
    return [config.entries[index].identity for index in config.routes[at].chain]


def options(config: Config, identity: str, at: int = 0) -> Any:
    route = config.routes[at]
    return next(
        config.entries[index].options
        for index in (*route.chain, *route.authenticators)
        if config.entries[index].identity == identity
    )


def asked(config: Config, at: int = 0) -> list[str]:
    return [config.entries[index].identity for index in config.routes[at].authenticators]


def test_stages_come_before_the_order_of_the_file(write: Any) -> None:
    config = write.text(HEAD).config
    assert chain(config) == ["request-id", "cors", "headers"]
    assert asked(config) == ["jwt"]


def test_inside_a_stage_the_order_is_global_then_service_then_route_as_listed(write: Any) -> None:
    text = HEAD + (
        "    plugins: [{headers: {}, as: s1}, {headers: {}, as: s2}, limit]\n"
        "    routes: [{match: {path: /r}, plugins: [{headers: {}, as: r}]}]\n"
    )
    assert chain(write.text(text).config) == [
        "request-id", "cors", "limit", "headers", "s1", "s2", "r",
    ]  # fmt: skip


def test_one_identity_further_in_replaces_the_options_whole_and_has_its_own_instance(
    write: Any,
) -> None:
    text = HEAD + "    plugins: [{headers: {set: {X-B: own}}}]\n  y: http://y\n"
    config = write.text(text).config
    assert options(config, "headers", 0) == {"set": {"X-B": "own"}}
    assert options(config, "headers", 1) == {"set": {"X-A": "global"}}


def test_an_override_stands_where_its_own_level_puts_it(write: Any) -> None:
    text = HEAD + (
        "    plugins: [{headers: {}, as: first}]\n"
        "    routes: [{match: {path: /r}, plugins: [{headers: {}}]}]\n"
    )
    config = write.text(text).config
    assert chain(config, 0) == ["request-id", "cors", "first", "headers"]
    assert chain(config, 1) == ["request-id", "cors", "headers", "first"]


def test_a_bare_name_further_in_is_the_outer_instance_in_its_outer_place(write: Any) -> None:
    text = HEAD + "    plugins: [{headers: {}, as: own}, headers]\n  y: http://y\n"
    config = write.text(text).config
    assert chain(config) == ["request-id", "cors", "headers", "own"]
    assert options(config, "headers", 0) is options(config, "headers", 1)
    assert len(config.entries) == 5


def test_authenticators_of_a_level_replace_all_outer_ones(write: Any) -> None:
    config = write.text(HEAD + "    plugins: [api-key]\n").config
    assert asked(config) == ["api-key"]


def test_a_bare_authenticator_keeps_its_outer_options_beside_a_new_one(write: Any) -> None:
    config = write.text(HEAD + "    plugins: [api-key, jwt]\n").config
    assert asked(config) == ["api-key", "jwt"]
    assert options(config, "jwt") == {"issuer": "https://sso"}


def test_a_skipped_plugin_is_gone_and_may_come_back_with_its_outer_options(write: Any) -> None:
    text = HEAD + ("    skip: [headers]\n    routes: [{match: {path: /r}, plugins: [headers]}]\n")
    config = write.text(text).config
    assert chain(config, 0) == ["request-id", "cors", "headers"]
    assert chain(config, 1) == ["request-id", "cors"]
    assert options(config, "headers") == {"set": {"X-A": "global"}}


def test_as_lets_one_plugin_stand_twice(write: Any) -> None:
    config = write.text(
        HEAD + "    plugins: [{limit: {rate: 1/s}}, {limit: {}, as: more}]\n"
    ).config
    assert chain(config) == ["request-id", "cors", "limit", "more", "headers"]
    assert [entry.plugin for entry in config.entries if entry.identity == "more"] == ["limit"]


def test_use_names_a_class_that_is_not_installed_under_a_name(write: Any) -> None:
    reference = "proxy.plugin.base:Plugin"
    text = HEAD + f"    plugins: [{{use: '{reference}', with: {{}}, as: foreign}}]\n"
    config = write.text(text).config
    entry = next(entry for entry in config.entries if entry.identity == "foreign")
    assert (entry.plugin, entry.use, entry.options) == (reference, reference, {})


def test_without_a_route_only_what_protects_nobody_runs(write: Any) -> None:
    config = write.text(HEAD).config
    names = [config.entries[index].identity for index in config.global_chain]
    assert names == ["request-id", "cors", "headers"]


def test_services_that_say_nothing_share_one_chain(write: Any) -> None:
    config = write.text(HEAD + "  y: http://y\n").config
    assert config.routes[0].chain is config.routes[1].chain


@pytest.mark.parametrize(
    ("service", "route", "access", "names"),
    [
        ("", "", Access.REQUIRED, ["jwt"]),
        ("true", "", Access.PUBLIC, []),
        ("optional", "", Access.OPTIONAL, ["jwt"]),
        ("true", "false", Access.REQUIRED, ["jwt"]),
        ("", "true", Access.PUBLIC, []),
        ("false", "optional", Access.OPTIONAL, ["jwt"]),
    ],
)
def test_the_nearest_public_holds(
    write: Any, service: str, route: str, access: Access, names: list[str]
) -> None:
    text = HEAD + (f"    public: {service}\n" if service else "")
    text += f"    routes: [{{match: {{path: /r}}{f', public: {route}' if route else ''}}}]\n"
    found = write.text(text).config
    assert (found.routes[0].access, asked(found)) == (access, names)


def test_without_plugins_nothing_is_imported_and_nothing_is_concluded(
    write: Any, catalog: Any
) -> None:
    write.file("routes.yaml", HEAD.replace("headers: {set: {X-A: global}}", "limit: {nonsense: 1}"))
    loaded = write.load(run_plugins=False)
    assert catalog.asked == []
    assert "BG210" not in {each.code for each in loaded.diagnostics}


def test_without_plugins_an_unknown_name_is_still_told(write: Any) -> None:
    write.file("routes.yaml", "version: 1\nplugins: [nope]\n")
    assert [each.code.value for each in write.load(run_plugins=False).diagnostics] == ["BG201"]


@pytest.mark.parametrize(
    ("service", "told"),
    [
        ("public: true, plugins: [api-key]", True),
        ("public: true, plugins: [api-key], routes: [match: {path: /x}]", True),
        ("public: true, plugins: [api-key], routes: [{match: {path: /x}, public: false}]", False),
        (
            "public: true, plugins: [api-key], routes: [{match: {path: /x}, public: optional}]",
            False,
        ),
        ("public: optional, plugins: [api-key]", False),
        ("public: true", False),
        ("public: true, plugins: [request-id]", False),
        ("plugins: [api-key], routes: [{match: {path: /x}, public: true}]", False),
    ],
)
def test_a_public_service_whose_authenticator_nobody_asks_gets_a_warning(
    write: Any, service: str, told: bool
) -> None:
    plugins, upstream = "plugins: [jwt: {issuer: x}]", "upstream: http://a"
    loaded = write.text(f"version: 1\n{plugins}\nservices:\n  a: {{{upstream}, {service}}}\n")
    assert [found.code.value for found in loaded.diagnostics] == (["BG307"] if told else [])
    assert loaded.config is not None


def test_a_template_may_stand_in_the_options_of_what_use_names(write: Any) -> None:
    text = (
        "version: 1\nservices: {a: {upstream: http://a, public: true, plugins: [{use: "
        '"tests.config.conftest:Headers", with: {set: {X-A: "${request.id}"}}}]}}\n'
    )
    loaded = write.text(text)
    assert loaded.diagnostics == ()
    assert loaded.config.entries[0].options == {"set": {"X-A": "${request.id}"}}
