"""What differs between two configurations: by meaning, who may call first, no credential shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.cli.differences import as_json, as_text
from proxy.config.load import load
from proxy.config.models import Gateway, Log, RouteSpec, ServiceSpec, UpstreamSpec
from proxy.plugin.catalog import Catalog
from proxy.revisions.diff import Difference, compare
from proxy.revisions.sides import Side

KEY = "0" * 64
HEAD = f"version: 1\nplugins:\n  - api-key: {{keys: [{{name: portal, sha256: '{KEY}'}}]}}\n"


Make = Callable[..., Side]


@pytest.fixture
def side(tmp_path: Path) -> Make:
    def make(text: str, label: str = "files", **environment: str) -> Side:
        file = tmp_path / f"{label}.yaml"
        file.write_text(text)
        loaded = load([file], environment=environment, catalog=Catalog(), keep_tree=True)
        assert loaded.config is not None, loaded.render()
        return Side(label, loaded)

    return make


def changes(found: Difference) -> set[tuple[str, str | None, str | None, tuple[str, ...]]]:
    return {(*each.change, each.routes) for each in (*found.access, *found.changed, *found.process)}


def test_comments_order_and_spelling_make_no_difference(side: Make) -> None:
    old = side(f"{HEAD}services:\n  a: http://a\n  b: http://b:80\n", "old")
    new = side(
        f"# words\n{HEAD}x-note: 1\nservices:\n  b: {{upstream: http://b}}\n"
        "  a: {upstream: {url: http://a}, timeouts: {response: 25000ms}}\n"
    )
    found = compare(old, new)
    assert found.count == 0, changes(found)
    assert as_text(old, new, found) == "old and files mean the same"
    assert as_json(old, new, found)["same"] is True


def test_routes_come_go_and_change(side: Make) -> None:
    old = side(f"{HEAD}services:\n  a: http://a\n  b: http://b\n  c: http://c\n", "old")
    new = side(
        f"{HEAD}services:\n  a: http://a2/x\n  c: {{upstream: http://c, plugins: [compress]}}\n"
        "  d: http://d\n"
    )
    found = compare(old, new)
    assert [each.route for each in found.added] == ["* /api/brain/d/*"]
    assert [each.route for each in found.removed] == ["* /api/brain/b/*"]
    assert found.added[0][1:] == ("http://d", "api-key")
    assert {("upstream.targets", "[http://a]", "[http://a2]", ("* /api/brain/a/*",))} < changes(
        found
    )
    assert ("upstream.path", "", "/x", ("* /api/brain/a/*",)) in changes(found)


def test_who_may_call_is_told_first_and_marked(side: Make) -> None:
    old = side(f"{HEAD}services:\n  a: http://a\n  b: http://b\n", "old")
    new = side(
        f"{HEAD}defaults: {{timeouts: {{response: 5s}}}}\n"
        "services:\n  a: {upstream: http://a, public: true}\n  b: http://b\n"
    )
    lines = as_text(old, new, compare(old, new)).splitlines()
    assert lines == [
        "old -> files",
        "who may call:",
        "  ! * /api/brain/a/*: api-key -> public",
        "routes:",
        "  ~ timeouts.response: 25 -> 5",
        "      * /api/brain/a/*",
        "      * /api/brain/b/*",
        "2 differences",
    ]


def test_a_way_around_an_authenticator_is_told_of_a_new_route_and_of_one_that_is_gone(
    side: Make,
) -> None:
    plain = f"{HEAD}services:\n  a: http://a\n"
    hole = (
        f"{HEAD}services:\n  a:\n    upstream: http://a\n"
        "    routes: [{match: {path: /open/*}, public: true}]\n"
    )
    came = compare(side(plain, "old"), side(hole))
    where = ("* /api/brain/a/open/*",)
    who = ("who may call", "api-key (by * /api/brain/a/*)", "public", where)
    assert [(*each.change, each.routes) for each in came.access] == [who]
    closed = (
        f"{HEAD}services:\n  a:\n    upstream: http://a\n    public: true\n"
        "    routes: [{match: {path: /secret}, public: false}]\n"
    )
    open_all = f"{HEAD}services:\n  a: {{upstream: http://a, public: true}}\n"
    went = compare(side(closed, "old"), side(open_all))
    who = ("who may call", "api-key", "public (by * /api/brain/a/*)", ("* /api/brain/a/secret",))
    assert [(*each.change, each.routes) for each in went.access] == [who]


def test_a_new_route_is_marked_only_when_anybody_may_call_it(side: Make) -> None:
    old = side(f"{HEAD}services:\n  a: http://a\n", "old")
    new = side(
        f"{HEAD}services:\n  a: http://a\n  b: http://b\n  c: {{upstream: http://c, public: true}}\n"
    )
    found = compare(old, new)
    assert [each.routes for each in found.access] == [("* /api/brain/c/*",)]
    assert found.access[0].change == ("who may call", "no route", "public")


def test_keys_of_an_authenticator_are_who_may_call_and_are_never_shown(side: Make) -> None:
    text = "version: 1\nplugins: [{{api-key: {{keys: [{{name: {0}, sha256: '{1}'}}]}}}}]\n"
    tail = "services: {a: http://a, b: http://b}\n"
    old = side(text.format("portal", KEY) + tail, "old")
    new = side(text.format("other", "1" * 64) + tail)
    found = compare(old, new)
    both = ("* /api/brain/a/*", "* /api/brain/b/*")
    assert {(*each.change, each.routes) for each in found.access} == {
        ("api-key: keys[0].name", "portal", "other", both),
        ("api-key: keys[0].sha256", "********", "********", both),
    }
    written = as_text(old, new, found)
    assert "api-key: keys[0].sha256: changed" in written
    assert KEY not in written
    assert "1" * 64 not in written + str(as_json(old, new, found))


def test_what_came_from_the_environment_is_shown_as_it_is_written(side: Make) -> None:
    text = "version: 1\nplugins: [{{headers: {{response: {{set: {{X-Note: '{}'}}}}}}}}]\n"
    tail = "services: {a: {upstream: http://a, public: true}}\n"
    old = side(text.format("plain") + tail, "old")
    new = side(text.format("${NOTE}") + tail, NOTE="only-the-environment-knows")
    found = compare(old, new)
    assert {each[1:3] for each in changes(found)} == {("plain", "${NOTE}")}
    assert "only-the-environment-knows" not in as_text(old, new, found)


def test_another_plugin_under_the_same_name_is_another_one(side: Make) -> None:
    tail = "services: {a: {upstream: http://a, public: true}}\n"
    old = side("version: 1\nplugins: [{compress: {}, as: mine}]\n" + tail, "old")
    new = side("version: 1\nplugins: [{redirect: {to: 'https://x'}, as: mine}]\n" + tail)
    found = compare(old, new)
    assert ("public + mine (compress)", "public + mine (redirect)") in {
        each[1:3] for each in changes(found)
    }


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("trusted_proxies: [10.0.0.1]", "trusted_proxies: []", "gateway.trusted_proxies"),
        ("expose: {metrics: private}", "expose: {metrics: any}", "gateway.expose.metrics"),
    ],
)
def test_whom_the_process_believes_is_who_may_call(
    old: str, new: str, what: str, side: Make
) -> None:
    text = "version: 1\ngateway: {{{}}}\nservices: {{a: {{upstream: http://a, public: true}}}}\n"
    found = compare(side(text.format(old), "old"), side(text.format(new)))
    assert [each.change.what for each in found.access] == [what]
    assert found.count == 1


def test_settings_of_the_process_are_told(side: Make) -> None:
    tail = "services: {a: {upstream: http://a, public: true}}\n"
    old = side("version: 1\n" + tail, "old")
    new = side("version: 1\nlog: {level: debug}\ngateway: {limits: {connections: 7}}\n" + tail)
    found = compare(old, new)
    assert [each.change for each in found.process] == [
        ("gateway.limits.connections", "4096", "7"),
        ("log.level", "info", "debug"),
    ]


def test_the_fallback_is_a_route_as_others_are(side: Make) -> None:
    tail = "services: {a: {upstream: http://a, public: true}}\n"
    old = side("version: 1\n" + tail, "old")
    new = side("version: 1\nfallback: {upstream: http://f, public: true}\n" + tail)
    found = compare(old, new)
    assert [each.route for each in found.added] == ["fallback"]
    assert found.access[0].change[1:] == ("no route", "public")
    again = compare(new, side("version: 1\nfallback: {upstream: http://g, public: true}\n" + tail))
    assert changes(again) == {("upstream.targets", "[http://f]", "[http://g]", ("fallback",))}


def test_upstreams_are_compared_by_what_they_are_not_by_their_number(side: Make) -> None:
    old = side("version: 1\nservices:\n  z: {upstream: http://z, public: true}\n", "old")
    new = side(
        "version: 1\nservices:\n  a: {upstream: http://a, public: true}\n"
        "  z: {upstream: http://z, public: true}\n"
    )
    found = compare(old, new)
    assert (len(found.added), found.changed) == (1, [])


def test_upstreams_inside_of_a_split_and_a_mirror_are_compared_the_same_way(side: Make) -> None:
    text = (
        "version: 1\nservices:\n{}  z:\n    upstream: http://z\n    public: true\n"
        "    split: [{{upstream: {}, share: 5%}}]\n    mirror: {{upstream: http://m, share: 1%}}\n"
    )
    first = "  a: {upstream: http://a, public: true}\n"
    old = side(text.format(first, "http://next"), "old")
    assert compare(old, side(text.format("", "http://next"))).changed == []
    found = compare(old, side(text.format("", "http://after-next")))
    assert [(*each.change, each.routes) for each in found.changed] == [
        (
            "split[0].upstream.targets",
            "[http://next]",
            "[http://after-next]",
            ("* /api/brain/z/*",),
        )
    ]


def test_ten_thousand_services_are_one_line_for_one_change(side: Make) -> None:
    services = "".join(
        f"  s{number}: {{upstream: http://s{number}, public: true}}\n" for number in range(10_000)
    )
    old = side(f"version: 1\nservices:\n{services}", "old")
    new = side(f"version: 1\ndefaults: {{timeouts: {{idle: 5s}}}}\nservices:\n{services}")
    found = compare(old, new)
    assert found.count == 1
    lines = as_text(old, new, found).splitlines()
    assert lines[-2:] == ["      and 9995 routes more", "1 difference"]
    assert len(as_json(old, new, found)["changed"][0]["routes"]) == 10_000


def test_every_part_of_a_configuration_is_compared() -> None:
    """A new field is compared without a word here; one that points elsewhere must be named."""
    apart = {"place", "prefixes", "match", "access", "authenticators", "chain"}
    names = {field.name for field in dataclasses.fields(RouteSpec)}
    assert apart < names
    pointing = {
        field.name
        for spec in (RouteSpec, ServiceSpec, UpstreamSpec, Gateway, Log)
        for field in dataclasses.fields(spec)
        if str(field.type) in {"int", "tuple[int, ...]"}
    }
    numbers = {"concurrent", "queue", "workers"}
    assert pointing - numbers == {"upstream", "authenticators", "chain"}


def test_the_shipped_file_is_the_same_as_itself() -> None:
    root = Path(__file__).parents[2]
    name = str(root / "routes.yaml")
    one, two = (
        Side("x", load([name], environment={}, catalog=Catalog(), keep_tree=True)) for _ in range(2)
    )
    assert compare(one, two).count == 0


def test_secrets_are_compared_by_where_they_are_kept(side: Make) -> None:
    def text(section: str, field: str) -> str:
        reference = f"{{secret: platform/links, field: {field}}}"
        return (
            f"version: 1\nsecrets: {section}\nplugins:\n  - ticket: {{key: {reference}}}\n"
            f"  - api-key: {{keys: [{{name: portal, sha256: '{KEY}'}}]}}\n"
            "services:\n  a: http://a\n"
        )

    old = side(text("{env: {}}", "old"), "old", BRAIN_SECRET_PLATFORM_LINKS_OLD="s3same")
    new = side(text("{env: {prefix: OWN_}}", "new"), OWN_PLATFORM_LINKS_NEW="s3same")
    found = compare(old, new)
    told = {(what, before, after) for what, before, after, _ in changes(found)}
    assert told == {
        ("ticket: key", "platform/links#old", "platform/links#new"),
        ("secrets.env.prefix", "BRAIN_SECRET_", "OWN_"),
    }
    assert "s3same" not in as_text(old, new, found) + repr((old.config, new.config))
    kept = side(text("{file: {path: kept}}", "new"), "kept")
    assert "secrets.file.path" in as_text(new, kept, compare(new, kept))
