"""The router against a naive reference, and what its memory of request lines may not do."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, MultiDict

from proxy.config.matching import compile_match
from proxy.errors import GatewayError
from proxy.runtime.route import Route
from proxy.runtime.router import LONGEST_KNOWN, MOST_KNOWN, Candidate, Router, misses


def route(name: str, prefixes: tuple[str, ...] = ("",), **match: Any) -> Route:
    """A route of which only its name, its prefixes and its match are looked at."""
    spec = SimpleNamespace(name=name, prefixes=prefixes, match=compile_match(match))
    return cast("Route", SimpleNamespace(name=name, spec=spec))


def asked(headers: dict[str, str] | None = None, query: dict[str, str] | None = None) -> Any:
    return SimpleNamespace(headers=CIMultiDict(headers or {}), query=MultiDict(query or {}))


def router_of(*routes: Route) -> Router:
    router = Router()
    for each in routes:
        router.add(each)
    return router


def winner(
    router: Router, path: str, method: str = "GET", host: str = "", **said: Any
) -> str | None:
    found, _ = router.find(path, method, host, asked(**said))
    return None if found is None else found.route.name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/x", "exact"),
        ("/x/", "exact"),
        ("/x/y", "below"),
        ("/x/y/z", "below"),
        ("/xy", "root"),
        ("/", "root"),
        ("/x/long/er", "longer"),
        ("/x/long", "longer"),
        ("/x/5/parts", "named"),
        ("/x/long/parts", "longer"),
    ],
)
def test_the_most_specific_path_wins(path: str, name: str) -> None:
    router = router_of(
        route("root", path="/*"),
        route("below", path="/x/*"),
        route("named", path="/x/{id}/parts"),
        route("longer", path="/x/long/*"),
        route("exact", path="/x"),
    )
    assert winner(router, path) == name


def test_a_prefix_ends_at_a_segment() -> None:
    router = router_of(route("crm", ("/api/brain/crm",), path="/*"))
    assert winner(router, "/api/brain/crm") == "crm"
    assert winner(router, "/api/brain/crm/x") == "crm"
    assert winner(router, "/api/brain/crmx") is None
    assert winner(router, "/api/brain/cr") is None
    assert winner(router, "/api/brain/crm-old/x") is None


def test_a_name_is_one_whole_segment() -> None:
    router = router_of(route("one", path="/a/{id}"))
    assert winner(router, "/a/b") == "one"
    assert winner(router, "/a/b%2fc") == "one"
    assert winner(router, "/a") is None
    assert winner(router, "/a/b/c") is None


def test_more_predicates_win_and_then_the_listed_order() -> None:
    router = router_of(
        route("first", path="/x"),
        route("again", path="/x"),
        route("post", path="/x", method="POST"),
        route("post with a header", path="/x", method="POST", header={"X-A": True}),
    )
    assert winner(router, "/x") == "first"
    assert winner(router, "/x", "POST") == "post"
    assert winner(router, "/x", "POST", headers={"x-a": ""}) == "post with a header"


def test_get_includes_head_and_nothing_else_does() -> None:
    router = router_of(
        route("get", path="/x", method="GET"), route("post", path="/y", method="POST")
    )
    assert winner(router, "/x", "HEAD") == "get"
    with pytest.raises(GatewayError):
        winner(router, "/y", "HEAD")


def test_a_wrong_method_is_refused_with_all_that_the_path_serves() -> None:
    router = router_of(
        route("get", path="/x", method="GET"),
        route("put", path="/x", method=["PUT", "PATCH"]),
        route("elsewhere", path="/x", method="DELETE", host="a.example"),
    )
    with pytest.raises(GatewayError) as refused:
        winner(router, "/x", "POST")
    assert (refused.value.code, refused.value.status) == ("method_not_allowed", 405)
    assert refused.value.headers["Allow"] == "GET, HEAD, PATCH, PUT"
    with pytest.raises(GatewayError) as refused:
        winner(router, "/x", "POST", host="a.example")
    assert "DELETE" in refused.value.headers["Allow"]
    assert winner(router, "/y", "POST") is None


def test_a_wider_route_takes_a_method_that_a_narrower_one_does_not() -> None:
    router = router_of(route("get", path="/x", method="GET"), route("rest", path="/*"))
    assert winner(router, "/x", "POST") == "rest"


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("a.example", "a"),
        ("A.Example:8080", "a"),
        ("a.example.", "a"),
        ("a.example.:80", "a"),
        ("x.b.example", "below b"),
        ("x.y.b.example", "below b"),
        ("b.example", None),
        (".b.example", None),
        ("xb.example", None),
        ("a.example.evil", None),
        ("[::1]:80", "six"),
        ("[::1]", "six"),
        ("", None),
    ],
)
def test_hosts_are_compared_by_name(host: str, name: str | None) -> None:
    router = router_of(
        route("a", path="/*", host="a.example"),
        route("below b", path="/*", host="*.b.example"),
        route("six", path="/*", host="[::1]"),
    )
    assert winner(router, "/", host=host) == name


@pytest.mark.parametrize(
    ("test", "values", "holds"),
    [
        ("v1", ["v1"], True),
        ("v1", ["v2", "v1"], True),
        ("v1", ["v1x"], False),
        ("v1*", ["v1x"], True),
        ("v1*", ["xv1"], False),
        (True, [""], True),
        (True, [], False),
        (False, [], True),
        (False, ["x"], False),
    ],
)
def test_a_header_or_query_predicate_looks_at_every_value(
    test: object, values: Sequence[str], holds: bool
) -> None:
    for place in ("header", "query"):
        router = router_of(route("it", path="/*", **{place: {"x-v": test}}))
        request = asked()
        for each in values:
            (request.headers if place == "header" else request.query).add("x-v", each)
        found, certain = router.find("/", "GET", "", request)
        assert (found is not None) is holds
        assert not certain


# -- the reference

SEGMENT = st.sampled_from(["a", "b", "c"])
PATTERN = st.builds(
    lambda parts, end: "/" + "/".join([*parts, *end]) if parts or end else "/",
    st.lists(st.one_of(SEGMENT, st.just("{}")), max_size=3),
    st.sampled_from([(), ("*",)]),
)


@st.composite
def route_sets(draw: st.DrawFn) -> list[Route]:
    made = []
    for number in range(draw(st.integers(1, 8))):
        pattern = draw(PATTERN)
        for at in range(pattern.count("{}")):
            pattern = pattern.replace("{}", f"{{n{at}}}", 1)
        match: dict[str, Any] = {"path": pattern}
        if draw(st.booleans()):
            match["method"] = draw(st.sampled_from(["GET", "POST", ["GET", "PUT"]]))
        if draw(st.integers(0, 3)) == 0:
            match["header"] = {"x-a": draw(st.sampled_from([True, False, "1"]))}
        if draw(st.integers(0, 3)) == 0:
            match["host"] = draw(st.sampled_from(["h.example", "*.example"]))
        prefixes = draw(st.sampled_from([("",), ("/a",), ("/a", "/b/c")]))
        made.append(route(f"r{number}", prefixes, **match))
    return made


def reference(routes: list[Route], path: str, method: str, host: str, request: Any) -> str | None:
    """Try every route under every prefix, one after the other, as the rules say it in words."""
    asked_for = [part for part in path.split("/") if part]
    taking: list[tuple[tuple[Any, ...], str]] = []
    other_methods = False
    for order, each in enumerate(routes):
        match = each.spec.match
        methods = match.methods | {"HEAD"} if "GET" in match.methods else match.methods
        for prefix in each.spec.prefixes:
            parts = [part for part in (prefix + match.path.text).split("/") if part]
            below = bool(parts) and parts[-1] == "*"
            wanted = parts[:-1] if below else parts
            enough = len(asked_for) >= len(wanted) if below else len(asked_for) == len(wanted)
            fits = enough and all(
                w.startswith("{") or w == a for w, a in zip(wanted, asked_for, strict=False)
            )
            if not fits or not _predicates_hold(match, host, request):
                continue
            if methods and method not in methods:
                other_methods = True
                continue
            literals = next((n for n, w in enumerate(wanted) if w.startswith("{")), len(wanted))
            exact = not below and literals == len(wanted)
            rank = (not exact, -literals, below, -match.predicates, order)
            taking.append((rank, each.name))
    if not taking and other_methods:
        return "405"
    return min(taking)[1] if taking else None


def _predicates_hold(match: Any, host: str, request: Any) -> bool:
    if match.hosts and not any(
        host.endswith(wanted.removeprefix("*")) if wanted[0] == "*" else host == wanted
        for wanted in match.hosts
    ):
        return False
    for test in match.headers:
        values = request.headers.getall(test.name, [])
        if bool(values) != test.present or (test.value is not None and test.value not in values):
            return False
    return True


@settings(max_examples=500, deadline=None)
@given(
    route_sets(),
    st.lists(SEGMENT, max_size=5),
    st.booleans(),
    st.sampled_from(["GET", "HEAD", "POST", "PUT"]),
    st.sampled_from(["h.example", "other.test"]),
    st.sampled_from([{}, {"X-A": "1"}, {"X-A": "2"}]),
)
def test_the_router_agrees_with_trying_every_route(
    routes: list[Route],
    segments: list[str],
    slash: bool,
    method: str,
    host: str,
    headers: dict[str, str],
) -> None:
    path = "/" + "/".join(segments) + ("/" if slash and segments else "")
    request = asked(headers)
    expected = reference(routes, path, method, host, request)
    router = router_of(*routes)
    if expected == "405":
        with pytest.raises(GatewayError, match="method_not_allowed"):
            router.find(path, method, host, request)
        return
    found, certain = router.find(path, method, host, request)
    assert (None if found is None else found.route.name) == expected
    if certain:
        # What is told to be certain holds whatever else a request says.
        for other in (asked(), asked({"X-A": "1"}), asked({"X-A": "2"})):
            for where in ("h.example", "other.test", ""):
                assert router.find(path, method, where, other)[0] is found


@settings(max_examples=300, deadline=None)
@given(
    route_sets(),
    st.lists(SEGMENT, max_size=5),
    st.sampled_from(["GET", "HEAD", "POST", "PUT"]),
    st.sampled_from(["h.example", "other.test"]),
    st.sampled_from([{}, {"X-A": "1"}, {"X-A": "2"}]),
)
def test_the_first_candidate_that_misses_nothing_is_the_one_that_is_found(
    routes: list[Route], segments: list[str], method: str, host: str, headers: dict[str, str]
) -> None:
    path, request = "/" + "/".join(segments), asked(headers)
    router = router_of(*routes)
    willing = [one for one in router.candidates(path) if not misses(one, method, host, request)]
    try:
        found, _ = router.find(path, method, host, request)
    except GatewayError:
        found = None
    assert found is (willing[0] if willing else None)


def test_a_miss_tells_the_predicate_and_what_would_have_held() -> None:
    router = router_of(
        route("it", path="/x", method="GET", host="a", header={"X-A": "1"}, query={"q": False})
    )
    (candidate,) = router.candidates("/x")
    told = misses(candidate, "PUT", "b", asked({"X-A": "2"}, {"q": ""}))
    assert [miss.kind for miss in told] == ["method", "host", "header", "query"]
    assert told[0].asked == {"GET", "HEAD"}
    assert misses(candidate, "HEAD", "a:80", asked({"x-a": "1"})) == []


# -- what is remembered

KNOWN = (cast("Candidate", None), "/x", "/x")


def test_a_remembered_line_is_one_method_and_one_raw_path() -> None:
    router = Router()
    router.remember("GET", "/x", KNOWN)
    assert router.known("GET", "/x") is KNOWN
    for method, path in [("HEAD", "/x"), ("POST", "/x"), ("GET", "/x/"), ("GET", "/%78")]:
        assert router.known(method, path) is None


def test_what_is_remembered_is_bounded_in_number_and_in_length() -> None:
    router = Router()
    for number in range(MOST_KNOWN * 2 + 1):
        router.remember("GET", f"/{number}", KNOWN)
    assert (
        sum(router.known("GET", f"/{n}") is not None for n in range(MOST_KNOWN * 3)) <= MOST_KNOWN
    )
    router.remember("GET", "/" + "x" * LONGEST_KNOWN, KNOWN)
    assert router.known("GET", "/" + "x" * LONGEST_KNOWN) is None


# -- the nearest route

NEAR = router_of(
    route("wagtail", ("/api/brain/wagtail",), path="/*"),
    route("crm", ("/api/brain/crm",), path="/*"),
    route("pages", ("/api/brain/wagtail",), path="/pages/{id}"),
)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/brain/wagtial/pages", "wagtail"),
        ("/api/brain/cmr/x", "crm"),
        ("/api/brian/crm", "crm"),
        ("/nothing/like/it", ""),
        ("/", ""),
    ],
)
def test_the_nearest_route_is_the_one_whose_name_was_nearly_spelled(path: str, name: str) -> None:
    assert NEAR.nearest(path) == name
