"""Routes as they are compiled: prefixes, matches, merged settings, upstreams."""

import pickle
from typing import Any

import pytest

from proxy.config.matching import compile_match, covers
from proxy.config.models import Cookies, PathPattern, TargetSpec
from proxy.config.patterns import parse_pattern

HEAD = "version: 1\nservices:\n"


@pytest.mark.parametrize(
    ("text", "segments", "names", "prefix"),
    [
        ("/", (), (), False),
        ("/*", (), (), True),
        ("/x", ("x",), (), False),
        ("/x/", ("x",), (), False),
        ("/x/y/*", ("x", "y"), (), True),
        ("/x/{id}/y", ("x", None, "y"), ("id",), False),
        ("/{a}/{b}/*", (None, None), ("a", "b"), True),
        ("/a%20b/%41", ("a b", "A"), (), False),
    ],
)
def test_a_path_pattern_is_cut_into_canonical_segments(
    text: str, segments: tuple[str | None, ...], names: tuple[str, ...], prefix: bool
) -> None:
    assert parse_pattern(text) == PathPattern(text, segments, names, prefix)


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "*", "/x*", "/*/x", "//", "//*", "/a//b", "/..", "/a/%2e%2e", "/{a", "/{A}"),
        *("/{a}{b}", "/{a}/{a}", "/a?b", "/a#b", "/ä", "/a b", "/\0"),
    ],
)
def test_a_path_that_no_request_could_have_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"path|matches"):
        parse_pattern(text)


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ({}, {}, True),
        ({}, {"method": "GET"}, True),
        ({"method": "GET"}, {}, False),
        ({"method": ["GET", "POST"]}, {"method": "POST"}, True),
        ({"method": "GET"}, {"method": "HEAD"}, True),
        ({"method": "HEAD"}, {"method": "GET"}, False),
        ({"host": "a.x"}, {"host": "A.X"}, True),
        ({"host": "*.x"}, {"host": ["a.x", "b.x"]}, True),
        ({"host": "*.x"}, {"host": "x"}, False),
        ({"header": {"a": True}}, {"header": {"A": "1"}}, True),
        ({"header": {"a": "1*"}}, {"header": {"a": "12"}}, True),
        ({"header": {"a": "1*"}}, {"header": {"a": "12*"}}, True),
        ({"header": {"a": "12*"}}, {"header": {"a": "1*"}}, False),
        ({"header": {"a": "1"}}, {"header": {"a": "1*"}}, False),
        ({"header": {"a": False}}, {"header": {"a": "1"}}, False),
        ({"header": {"a": False}}, {"header": {"a": False, "b": True}}, True),
        ({"query": {"a": 1}}, {"query": {"a": "1"}}, True),
        ({"query": {"a": True}}, {"query": {"A": "1"}}, False),
    ],
)
def test_one_match_takes_all_that_another_would(
    wide: dict[str, Any], narrow: dict[str, Any], expected: bool
) -> None:
    assert covers(compile_match(wide), compile_match(narrow)) is expected


def test_a_service_answers_under_its_name_and_its_aliases(write: Any) -> None:
    text = HEAD + "  crm: {upstream: http://x, public: true, aliases: [kunden, /alt/crm]}\n"
    config = write.text(text).config
    expected = ("/api/brain/crm", "/api/brain/kunden", "/alt/crm")
    assert config.services[0].prefixes == config.routes[0].prefixes == expected


def test_a_service_has_a_route_for_what_its_own_routes_leave(write: Any) -> None:
    text = HEAD + "  a: {upstream: http://x, public: true, routes: [{match: {path: /x}}]}\n"
    assert [route.match.path.text for route in write.text(text).config.routes] == ["/x", "/*"]
    text = HEAD + "  a: {upstream: http://x, routes: [{match: {path: /*}, public: true}]}\n"
    assert [route.match.path.text for route in write.text(text).config.routes] == ["/*"]


def test_timeouts_and_limits_merge_key_by_key(write: Any) -> None:
    text = (
        "version: 1\n"
        "defaults: {timeouts: {connect: 1s, idle: 1s, response: 1s}, limits: {request_body: 1B}}\n"
        "services:\n"
        "  a:\n"
        "    upstream: http://x\n"
        "    public: true\n"
        "    timeouts: {idle: 2s, response: 2s}\n"
        "    routes: [{match: {path: /r}, timeouts: {response: 3s}, limits: {request_rate: 1B}}]\n"
    )
    route = write.text(text).config.routes[0]
    timeouts = route.timeouts
    assert (timeouts.connect, timeouts.idle, timeouts.response, timeouts.stream) == (1, 2, 3, 600)
    assert (route.limits.request_body, route.limits.request_rate) == (1, 1)


def test_an_upstreams_settings_merge_and_its_targets_replace(write: Any) -> None:
    text = (
        "version: 1\n"
        "defaults: {upstream: {concurrent: 1, queue: 1, keepalive: 1s, tls: {verify: false}}}\n"
        "services:\n"
        "  a:\n"
        "    upstream: {url: https://a/base, queue: 2, tls: {server_name: b}}\n"
        "    public: true\n"
        "    routes:\n"
        "      - {match: {path: /slow}, upstream: {concurrent: 9}}\n"
        "      - {match: {path: /else}, upstream: http://b}\n"
    )
    config = write.text(text).config
    slow, other, own = (config.upstreams[route.upstream] for route in config.routes)
    assert (own.concurrent, own.queue, own.keepalive, own.path) == (1, 2, 1.0, "/base")
    assert (own.tls.verify, own.tls.server_name) == (False, "b")
    assert (slow.concurrent, slow.queue, slow.path, slow.targets) == (9, 2, "/base", own.targets)
    assert (other.queue, other.path, other.targets) == (2, "", (TargetSpec("http", "b", 80),))
    assert len({slow.name, other.name, own.name}) == 3


@pytest.mark.parametrize(
    ("url", "target", "path"),
    [
        ("http://x", TargetSpec("http", "x", 80), ""),
        ("HTTPS://x/", TargetSpec("https", "x", 443), ""),
        ("http://x:8080/api/v1/", TargetSpec("http", "x", 8080), "/api/v1"),
        ("http://[::1]:1", TargetSpec("http", "::1", 1), ""),
        ("http://10.0.0.1/a%20b", TargetSpec("http", "10.0.0.1", 80), "/a%20b"),
    ],
)
def test_a_url_is_a_target_and_a_path(write: Any, url: str, target: TargetSpec, path: str) -> None:
    config = write.text(HEAD + f'  a: {{upstream: "{url}", public: true}}\n').config
    assert (config.upstreams[0].targets, config.upstreams[0].path) == ((target,), path)


def test_service_references_share_one_pool_whatever_their_order(write: Any) -> None:
    text = HEAD + (
        "  a: {upstream: service/b, public: true}\n"
        "  b: {upstream: service/c, public: true}\n"
        "  c: {upstream: http://c, public: true}\n"
    )
    config = write.text(text).config
    assert [upstream.name for upstream in config.upstreams] == ["c"]
    assert {service.upstream for service in config.services} == {0}


@pytest.mark.parametrize(
    ("host", "given", "expected"),
    [
        ("crm", "", Cookies.ALL),
        ("localhost", "", Cookies.ALL),
        ("10.1.2.3", "", Cookies.ALL),
        ("[fd00::1]", "", Cookies.ALL),
        ("8.8.8.8", "", Cookies.NONE),
        ("crm.example.com", "", Cookies.NONE),
        ("crm", "forward_cookies: none", Cookies.NONE),
        ("a.b", "forward_cookies: [sid]", ("sid",)),
    ],
)
def test_cookies_go_by_default_only_to_what_is_near_by_its_name(
    write: Any, host: str, given: str, expected: Any
) -> None:
    text = HEAD + f'  a: {{upstream: "http://{host}", public: true, {given}}}\n'
    assert write.text(text).config.routes[0].forward_cookies == expected


def test_one_far_target_is_enough_to_keep_cookies_back(write: Any) -> None:
    text = HEAD + "  a: {upstream: {targets: [http://x, http://x.example]}, public: true}\n"
    assert write.text(text).config.routes[0].forward_cookies is Cookies.NONE


@pytest.mark.parametrize(
    ("listen", "expected"),
    [(":8080", "0.0.0.0:8080"), ("[::]:80", "[::]:80"), ("localhost:0", "localhost:0")],
)
def test_a_listener_is_an_address_and_a_port(write: Any, listen: str, expected: str) -> None:
    config = write.text(f'version: 1\ngateway: {{listen: "{listen}", admin: "{listen}"}}\n').config
    assert str(config.gateway.listen) == str(config.gateway.admin) == expected


@pytest.mark.parametrize("admin", ["off", "false"])
def test_the_admin_listener_can_be_left_out(write: Any, admin: str) -> None:
    assert write.text(f"version: 1\ngateway: {{admin: {admin}}}\n").config.gateway.admin is None


def test_the_control_socket_stands_by_default_where_the_session_has_its_sockets(write: Any) -> None:
    assert write.text("version: 1").config.gateway.control == "/tmp/brain.sock"
    config = write.text("version: 1\n", XDG_RUNTIME_DIR="/run/user/1").config
    assert config.gateway.control == "/run/user/1/brain.sock"


def test_relative_files_are_looked_for_beside_the_file_that_names_them(write: Any) -> None:
    write.file("etc/ca.pem", "x")
    write.file(
        "etc/routes.yaml",
        "version: 1\ngateway: {control: run/x.sock}\n"
        "services: {a: {upstream: {url: https://a, tls: {ca: ca.pem}}, public: true}}\n",
    )
    config = write.load("etc/routes.yaml").config
    assert config.upstreams[0].tls.ca == "etc/ca.pem"
    assert config.gateway.control == "etc/run/x.sock"


def test_a_base_path_of_a_slash_puts_services_at_the_root(write: Any) -> None:
    text = (
        "version: 1\ngateway: {base_path: /}\nservices: {a: {upstream: http://x, public: true}}\n"
    )
    config = write.text(text).config
    assert (config.gateway.base_path, config.services[0].prefixes) == ("", ("/a",))


def test_a_config_survives_the_way_to_another_process(write: Any) -> None:
    text = HEAD + "  a: {upstream: http://x, plugins: [jwt: {issuer: x}, limit]}\n"
    config = write.text(text).config
    assert pickle.loads(pickle.dumps(config)) == config


def test_one_mistake_does_not_hide_another(write: Any) -> None:
    errors = write.errors(
        "version: 1\nlog: {level: x}\nservices:\n  a: {upstream: 5}\n  b: http://b\n"
        "  c: {upstream: http://c, public: true, routes: [{match: {path: x}}, {match: {path: /y}},"
        " {match: {path: /y}}]}\n"
    )
    assert [error[:5] for error in errors] == ["BG102", "BG101", "BG210", "BG102", "BG208"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/[0-9]+/x", "BG308"),
        ("/users/(a)", "BG308"),
        ("/$metadata", "BG308"),
        ("/^a", "BG308"),
        (r"/users/\d+", "BG102"),
        ("^/users$", "BG102"),
        ("/users/.*", "BG102"),
        ("/users/{id:[0-9]+}", "BG102"),
        ("/users/%24metadata", None),
        ("/users/{id}/a.b/*", None),
        ("/*", None),
    ],
)
def test_a_path_that_is_written_as_a_regular_expression_is_told(
    write: Any, path: str, code: str | None
) -> None:
    route = f"{{match: {{path: '{path}'}}, upstream: http://a, public: true}}"
    found = write.text(f"version: 1\nroutes:\n  - {route}\n").diagnostics
    assert [each.code.value for each in found] == ([code] if code else [])
    assert all(
        "paths are no regular expressions; use {name} or /*" in each.message for each in found
    )


def test_a_plain_sign_of_a_path_can_be_written_without_a_warning(write: Any) -> None:
    text = "version: 1\nroutes:\n  - {match: {path: '/a+b'}, upstream: http://a, public: true}\n"
    (found,) = write.text(text).diagnostics
    assert found.hint == "where '+' is meant, write %2B"
    (signed,) = write.text(text).config.routes
    (encoded,) = write.text(text.replace("+", "%2B")).config.routes
    assert encoded.match.path.segments == signed.match.path.segments
    assert write.text(text.replace("+", "%2B")).diagnostics == ()


def test_a_match_that_is_not_understood_takes_no_route_away(write: Any) -> None:
    text = """version: 1
services:
  a:
    upstream: http://a
    public: true
    routes: [{match: {path: /x, status: 2xx}}, {match: {path: /x}}]
"""
    (found,) = write.errors(text)
    assert "unknown key 'status'" in found
