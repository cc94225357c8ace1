"""hishel's state machine, as it is driven; and that the way past it says the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import hishel
import pytest
from cache_kit import START
from hypothesis import given
from hypothesis import strategies as st

from plugins.cache import rules as module
from plugins.cache.asked import Asked
from plugins.cache.dates import format_date
from plugins.cache.entry import Entry
from plugins.cache.fields import Field, by_name
from plugins.cache.parts import Parts
from plugins.cache.policy import forbids
from plugins.cache.rules import Rules
from plugins.cache.scopes import ANONYMOUS, STRANGER, Scope
from plugins.cache.store import Store

DOOR = ("crm/contacts", "https", "brain.example.com", "/api/brain/crm")
RULES = Rules()


def asked(scope: Scope = ANONYMOUS, **values: str) -> Asked:
    raw = {name.replace("_", "-").encode(): value.encode() for name, value in values.items()}
    return Asked(("http://crm:8003", "/x"), DOOR, scope, raw)


def raw(*lines: str) -> list[Field]:
    pairs = (line.partition(": ") for line in lines)
    return [(name.encode(), value.encode()) for name, _, value in pairs]


def entry(*lines: str, status: int = 200, came: float = 0.0, delay: float = 0.0) -> Entry:
    fields = raw(*lines)
    made = Entry(
        ("http://crm:8003", "/x"), (DOOR, ANONYMOUS), (), status, "OK", fields,
        came=came, now=START, delay=delay,
    )  # fmt: skip
    made.complete(b"hello")
    return made


DATE = f"Date: {format_date(START).decode()}"


@pytest.mark.parametrize(
    ("status", "control", "stored"),
    [
        (200, "max-age=60", True),
        (200, "", True),
        (404, "", True),
        (302, "", False),
        (302, "max-age=60", True),
        (206, "max-age=60", False),
        (304, "max-age=60", False),
        (200, "no-store, max-age=60", False),
        (200, "private", False),
        (200, "no-cache", True),
    ],
)
def test_what_may_be_stored(status: int, control: str, stored: bool) -> None:
    fields = raw(DATE, *([f"Cache-Control: {control}"] if control else []))
    assert (RULES.storable(asked(), status, fields) is not None) is stored


@pytest.mark.parametrize(
    ("control", "stored"),
    [("max-age=60", False), ("public", True), ("s-maxage=60", True), ("must-revalidate", True)],
)
def test_what_somebody_with_an_authorization_gets_is_stored_only_if_it_says_so(
    control: str, stored: bool
) -> None:
    fields = raw(DATE, f"Cache-Control: {control}")
    kept = RULES.storable(asked(STRANGER, authorization="x"), 200, fields)
    assert (kept is not None) is stored


def test_fields_that_are_no_others_business_are_left_out_and_the_rest_keeps_its_bytes() -> None:
    fields = raw(
        DATE, 'CACHE-control: max-age=60, no-cache="X-User", private="x-mine"', "X-user: alice",
        "X-Mine: 1", "Keep-Alive: timeout=5", "oDD: Case", "X-Two: 1", "X-Two: 2",
    )  # fmt: skip
    fields.append((b"X-Bytes", b"\xff"))
    kept = RULES.storable(asked(), 200, fields)
    assert kept == [fields[0], fields[1], *fields[5:]]


def conditions(*lines: str) -> dict[str, str]:
    return dict(RULES.conditions(entry(DATE, *lines)))


def test_what_is_asked_again_names_what_is_stored() -> None:
    modified = format_date(START - 1000).decode()
    assert conditions('ETag: W/"a"', f"Last-Modified: {modified}") == {
        "If-None-Match": 'W/"a"',
        "If-Modified-Since": modified,
    }
    assert conditions(f"Last-Modified: {modified}") == {"If-Modified-Since": modified}


@pytest.mark.parametrize("tag", ["a", '"a', '"a" "b"', 'w/"a"', '"\t"', '"', "", '"a b"'])
def test_a_tag_that_is_none_is_never_sent(tag: str) -> None:
    assert conditions(f"ETag: {tag}", "Last-Modified: soon") == {}


def freshened(stored: Entry, *lines: str) -> list[Field] | None:
    return RULES.freshened(stored, raw(*lines))


def test_a_304_updates_fields_and_leaves_those_of_the_content() -> None:
    stored = entry(DATE, 'ETag: "a"', "X-Old: 1", "X-Both: 1", "X-Both: 2", "Content-Type: text/a")
    later = f"Date: {format_date(START + 60).decode()}"
    fields = freshened(
        stored, later, 'ETag: "a"', "x-both: 3", "X-New: 1", "Content-Type: text/b",
        "Content-Length: 0",
    )  # fmt: skip
    assert fields is not None
    assert fields == [
        *raw("X-Old: 1", "Content-Type: text/a", "Content-Length: 5"),
        *raw(later, 'ETag: "a"', "x-both: 3", "X-New: 1"),
    ]


@pytest.mark.parametrize(
    ("stored", "told", "means"),
    [
        ('ETag: "a"', 'ETag: "a"', True),
        ('ETag: "a"', 'ETag: "b"', False),
        ('ETag: W/"a"', 'ETag: W/"a"', True),
        ('ETag: "a"', "X-Nothing: 1", True),
        ("Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", "X-Nothing: 1", True),
        (
            "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT",
            "Last-Modified: Sun, 06 Nov 1994 08:49:38 GMT",
            False,
        ),
    ],
)
def test_a_304_that_means_another_answer_updates_nothing(
    stored: str, told: str, means: bool
) -> None:
    assert (freshened(entry(DATE, stored), told) is not None) is means


# -- the way past the state machine


CONTROLS = st.lists(
    st.sampled_from(
        [
            "public", "must-revalidate", "no-cache", 'no-cache="x"', "max-age=0", "max-age=10",
            "max-age=100", "s-maxage=0", "s-maxage=50", "no-store", "private", "stale-if-error=9",
        ]
    ),
    max_size=3,
)  # fmt: skip
WANTS = st.sampled_from([None, "no-cache", "max-stale", "no-transform"])


@given(CONTROLS, st.sampled_from([None, -20, 0, 40]), st.integers(0, 120), WANTS)
def test_what_is_served_at_once_the_state_machine_would_serve_too(
    controls: list[str], expires: int | None, age: int, wants: str | None
) -> None:
    """With the answer's own fields: no view of ours stands between. Guesses are off in both."""
    lines = [DATE, f"Cache-Control: {', '.join(controls)}"]
    if expires is not None:
        lines.append(f"Expires: {format_date(START + expires).decode()}")
    stored = entry(*lines)
    request = asked(**({} if wants is None else {"cache_control": wants}))
    parts = Parts(Store(), RULES, 100, 0, 0, 0.0, lambda: float(age), lambda: START + age)
    lifetime = parts.lifetime(stored)
    usable = parts.usable(request, stored, parts.age(stored), lifetime)
    # Of two directives of one name both may choose; they do not choose the same.
    names = [each.partition("=")[0] for each in controls]
    if len(set(names)) == len(names):
        assert usable is _would_serve(lines, wants, age)


def _would_serve(lines: list[str], wants: str | None, age: float) -> bool:
    headers: dict[str, str] = {} if wants is None else {"cache-control": wants}
    request = hishel.Request("GET", "/x", hishel.Headers(headers))
    fields = by_name(raw(*lines))
    seen = hishel.Headers({name.decode(): value.decode() for name, value in fields.items()})
    known = hishel.Entry(uuid4(), request, hishel.Response(200, seen))
    with pytest.MonkeyPatch.context() as patch:
        # The time at which the state machine looks: it reads the module's own clock.
        patch.setattr(hishel._core._spec, "time", SimpleNamespace(time=lambda: START + age))
        state = hishel.IdleClient(options=module._OPTIONS).next(request, [known])
    return isinstance(state, hishel.FromCache)


@given(CONTROLS, st.integers(0, 200), st.floats(0, 100), st.integers(0, 200))
def test_an_age_that_came_along_and_a_default_mean_what_a_date_and_a_lifetime_would(
    controls: list[str], told: int, later: float, default: int
) -> None:
    """The state machine knows neither; told in its own terms, its verdict is the same."""
    stored = entry(DATE, f"Age: {told}", f"Cache-Control: {', '.join(controls)}")
    parts = Parts(Store(), RULES, 100, default, 0, 0.0, lambda: later, lambda: START)
    age, lifetime = parts.age(stored), parts.lifetime(stored)
    control = f"s-maxage={lifetime}" + (", no-cache" if stored.policy.no_cache else "")
    dated = f"Date: {format_date(START + int(later) - age).decode()}"
    would = _would_serve([dated, f"Cache-Control: {control}"], None, int(later))
    assert parts.usable(asked(), stored, age, lifetime) is would


@given(st.sampled_from([200, 204, 206, 301, 302, 304, 404, 410, 451]), CONTROLS)
def test_what_is_refused_before_the_state_machine_it_would_refuse_too(
    status: int, controls: list[str]
) -> None:
    fields = raw(DATE, f"Cache-Control: {', '.join(controls)}")
    if forbids(by_name(fields)):
        assert RULES.storable(asked(), status, fields) is None


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PURGE"])
@pytest.mark.parametrize("status", [200, 204, 303, 400, 404, 502])
def test_what_an_unsafe_method_invalidates_is_what_the_state_machine_says(
    method: str, status: int
) -> None:
    request: Any = hishel.Request("GET", "/x", hishel.Headers({}))
    known = hishel.Entry(uuid4(), request, hishel.Response(200))
    unsafe = hishel.Request(method, "/x", hishel.Headers({}))
    missed = hishel.IdleClient(options=module._OPTIONS).next(unsafe, [known])
    assert isinstance(missed, hishel.CacheMiss)
    state = missed.next(hishel.Response(status, hishel.Headers({})))
    assert isinstance(state, hishel.InvalidateEntries) is (200 <= status < 400)
