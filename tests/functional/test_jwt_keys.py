"""jwt and its issuer's keys: replaced, taken back, away, late, lying or endless."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from proxy.plugin.jwks import FLOOR, LONGEST, KeySet
from tests.functional import keykit
from tests.functional.conftest import MakeGateway
from tests.functional.forgekit import by_hand, claims_of, header_of
from tests.functional.keykit import Answer, KeyServer, ec, ed25519, ok, rsa, said
from tests.functional.kit import Gateway, RawClient, RecordingUpstream, request
from tests.plugins.tokens import part
from tests.plugins.tokens import rsa as any_rsa

PATH = "/api/brain/crm/contacts"
ONE, TWO = rsa("one"), rsa("two")


def text(upstream: RecordingUpstream, issuer: KeyServer, more: str = "") -> str:
    return f"""
        version: 1
        plugins: [{{jwt: {{issuer: "{issuer.issuer}", audience: brain{more}}}}}]
        services:
          crm: "{upstream.url}"
          pages: {{upstream: "{upstream.url}", public: true}}
        """


@pytest.fixture
async def door(gateway: MakeGateway, upstream: RecordingUpstream, issuer: KeyServer) -> Gateway:
    return await gateway(text(upstream, issuer))


@pytest.fixture
def _no_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.plugin.jwks.FLOOR", 0.0)


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again in seconds is tried again at once."""
    monkeypatch.setattr("proxy.plugin.jwks._RETRY_FIRST", 0.05)
    monkeypatch.setattr("proxy.plugin.jwks._RETRY_MOST", 0.05)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions to issuers end after a moment."""
    monkeypatch.setattr("proxy.plugin.http.TIMEOUT", 0.2)
    monkeypatch.setattr("plugins.jwt.plugin.WAIT_FOR_KEYS", 0.1)


async def told(door: Gateway, token: str, path: str = PATH) -> str:
    reply = await door.get(path, f"Authorization: Bearer {token}")
    found: str = json.loads(reply.body)["code"] if reply.status != 200 else "let in"
    return found


async def until(asked: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await asked():
            await asyncio.sleep(0.01)


async def readiness(door: Gateway) -> tuple[int, str, str]:
    reply = await door.admin("/ready")
    found = json.loads(reply.body)
    return reply.status, found["status"], json.dumps(found)


# -- keys come and go


@pytest.mark.parametrize(
    "key",
    [ec("a"), ec("b", "P-384"), ec("c", "P-521"), ed25519("d"), rsa("e"), rsa("f", 4096)],
    ids=["P-256", "P-384", "P-521", "Ed25519", "RSA", "RSA of 4096"],
)
async def test_each_kind_of_key_is_fetched_and_verifies(
    gateway: MakeGateway, upstream: RecordingUpstream, issuer: KeyServer, key: keykit.Key
) -> None:
    issuer.keys = [ONE, key]
    door = await gateway(text(upstream, issuer))
    for _ in range(2):
        assert await told(door, issuer.mint(key)) == "let in"
        assert await told(door, issuer.mint(ONE)) == "let in"
    assert issuer.asked == [issuer.path + keykit.CONFIGURATION, issuer.path + keykit.JWKS]


@pytest.mark.usefixtures("_no_floor")
async def test_a_key_that_is_added_is_found_and_one_taken_back_forgets_what_it_verified(
    door: Gateway, issuer: KeyServer
) -> None:
    old, new = issuer.mint(ONE), issuer.mint(TWO)
    assert await told(door, old) == "let in"
    issuer.keys = [ONE, TWO]
    assert await told(door, new) == "let in"
    assert await told(door, old) == "let in", "both are good while both are published"
    issuer.keys = [TWO]
    assert await told(door, old) == "let in", "nobody has asked since"
    assert await told(door, issuer.mint(rsa("x"), {"kid": "x"})) == "token_invalid"
    assert await told(door, old) == "token_invalid"
    assert await told(door, new) == "let in"


async def test_keys_are_renewed_behind(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    issuer: KeyServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("proxy.plugin.jwks.FRESH", 0.05)
    monkeypatch.setattr("proxy.plugin.jwks._RETRY_FIRST", 0.01)
    door = await gateway(text(upstream, issuer))
    old = issuer.mint(ONE)
    assert await told(door, old) == "let in"
    issuer.keys = [TWO]
    before = issuer.fetches
    await until(lambda: _more(issuer, before + 1))
    # Nobody brought a token of the new key, and what the old one verified is forgotten.
    assert await told(door, old) == "token_invalid"
    assert await told(door, issuer.mint(TWO)) == "let in"


async def _more(issuer: KeyServer, than: int) -> bool:
    return issuer.fetches > than


@pytest.mark.usefixtures("_no_floor")
async def test_a_key_that_was_replaced_under_its_name_is_found(
    door: Gateway, issuer: KeyServer
) -> None:
    other = rsa("one", 3072)
    old, new = issuer.mint(ONE), issuer.mint(other)
    assert await told(door, old) == "let in"
    issuer.keys = [other]
    assert await told(door, new) == "let in"
    assert await told(door, old) == "token_invalid"


async def test_a_token_that_names_no_key_is_of_the_only_one(
    gateway: MakeGateway, upstream: RecordingUpstream, issuer: KeyServer
) -> None:
    issuer.keys = [ONE, ec("curve")]
    door = await gateway(text(upstream, issuer))
    assert await told(door, issuer.mint(ONE, {"kid": None})) == "let in"
    assert await told(door, issuer.mint(ec("curve"), {"kid": None})) == "let in"
    # With several, an issuer must say which (OpenID Connect Core 1.0, 10.1).
    issuer.keys = [ONE, TWO]
    other = await gateway(text(upstream, issuer, f', jwks_uri: "{issuer.jwks_uri}"'))
    for key in issuer.keys:
        assert await told(other, issuer.mint(key, {"kid": None})) == "token_invalid"
        assert await told(other, issuer.mint(key)) == "let in"


async def test_ten_thousand_unknown_keys_cost_two_fetches(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    issuer: KeyServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passed = 0.0
    defaults = KeySet.__init__.__kwdefaults__ or {}
    monkeypatch.setitem(defaults, "now", lambda: time.monotonic() + passed)
    door = await gateway(text(upstream, issuer))
    good = issuer.mint()
    assert await told(door, good) == "let in"
    passed = FLOOR + 1  # so that the flood does cause one
    claims = good.split(".")[1]

    def forged(number: int) -> bytes:
        head = part(json.dumps({"alg": "RS256", "kid": f"key-{number}"}))
        bearer = f"Authorization: Bearer {head}.{claims}.{part(bytes(256))}"
        return request(PATH, bearer)

    async def many(client: RawClient, numbers: range) -> None:
        for number in numbers:
            client.send(forged(number))
            assert (await client.reply()).status == 401

    clients = [await door.client() for _ in range(50)]
    await asyncio.gather(
        *(many(client, range(at, 10_000, 50)) for at, client in enumerate(clients))
    )
    assert issuer.fetches == 2
    assert await told(door, good) == "let in"


async def test_callers_that_wait_for_a_key_share_one_fetch(
    door: Gateway, issuer: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.plugin.jwks.FLOOR", 0.0)
    issuer.keys = [ONE, TWO]
    issuer.answers["jwks"] = keykit.slowly(ok(keykit.jwks(issuer.keys)), 0.3)
    before = issuer.fetches
    tokens = [issuer.mint(TWO, jti=str(number)) for number in range(50)]
    found = await asyncio.gather(*(told(door, token) for token in tokens))
    assert set(found) == {"let in"}
    assert issuer.fetches == before + 1


@pytest.mark.usefixtures("_no_floor")
async def test_who_asked_first_may_leave_and_the_others_get_the_key(
    door: Gateway, issuer: KeyServer
) -> None:
    issuer.keys = [ONE, TWO]
    issuer.answers["jwks"] = keykit.slowly(ok(keykit.jwks(issuer.keys)), 0.3)
    before = issuer.fetches
    first = await door.client()
    first.send(request(PATH, f"Authorization: Bearer {issuer.mint(TWO)}"))
    await until(lambda: _more(issuer, before))
    other = asyncio.ensure_future(told(door, issuer.mint(TWO, jti="other")))
    first.close()
    assert await other == "let in"
    assert issuer.fetches == before + 1


@pytest.mark.usefixtures("_no_floor")
async def test_keys_that_move_to_another_address_are_followed(
    door: Gateway, issuer: KeyServer
) -> None:
    """The address of before answers on, as one that a cache or a former host serves."""
    assert await told(door, issuer.mint()) == "let in"
    moved = KeyServer(TWO, path="/moved/")
    await moved.start()
    told_now = {"issuer": issuer.issuer, "jwks_uri": moved.jwks_uri}
    issuer.answers["configuration"] = ok(json.dumps(told_now))
    try:
        assert await told(door, issuer.mint(TWO)) == "let in"
        assert await told(door, issuer.mint()) == "token_invalid"
    finally:
        await moved.stop()


# -- answers that are none


HUGE = keykit.jwks([ONE]).encode().ljust(LONGEST + 1)
PRIVATE = json.dumps({"keys": [TWO.as_dict(private=True)]})

NO_KEYS: dict[str, Answer] = {
    "500": said("500 Internal Server Error", keykit.jwks([ONE])),
    "404": said("404 Not Found"),
    "204": said("204 No Content"),
    "no JSON": ok("{"),
    "a page": ok("<!doctype html><title>Sign in</title>", "text/html"),
    "a list": ok("[]"),
    "no list": ok('{"keys": {}}'),
    "keys that are none": ok('{"keys": [1, null, "x", [], {}]}'),
    "no keys": ok('{"keys": []}'),
    "deep": ok("[" * 100_000),
    "huge": ok(HUGE),
    "endless": keykit.flood,
    "a bomb": keykit.zipped(200 * 1024 * 1024),
    "too many": ok(keykit.jwks([ONE] * 101)),
    "private": ok(PRIVATE),
    "secret": ok('{"keys": [{"kty": "oct", "kid": "one", "k": "c2VjcmV0c2VjcmV0c2VjcmV0"}]}'),
    "for encryption": ok(keykit.jwks([ONE], use="enc")),
    "for other things": ok(keykit.jwks([ONE], key_ops=["sign"])),
    "for another algorithm": ok(keykit.jwks([ONE], alg="RSA-OAEP")),
    "hanging": keykit.hang,
    "dripping": keykit.drip,
    "cut off": b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "nothing": b"",
    "zipped, it says": said("200 OK", b"no gzip", "Content-Encoding: gzip"),
    "an encoding that nobody has": said("200 OK", b"x", "Content-Encoding: brotli-9"),
    "broken chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    "two lengths": said("200 OK", b"{}", "Content-Length: 7"),
    "a header without an end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
    "another protocol": said("101 Switching Protocols", b"", "Upgrade: x"),
    "half letters": ok('{"keys": [{"kty": "RSA", "kid": "\\ud800", "n": "\\ud800", "e": "AQAB"}]}'),
    "a number without an end": ok('{"keys": [' + "9" * 5000 + "]}"),
}


@pytest.mark.usefixtures("_impatient", "_soon")
@pytest.mark.parametrize("name", NO_KEYS)
async def test_an_answer_without_keys_lets_nobody_in_and_is_got_over(
    gateway: MakeGateway, upstream: RecordingUpstream, issuer: KeyServer, name: str
) -> None:
    issuer.answers["jwks"] = NO_KEYS[name]
    door = await gateway(text(upstream, issuer))
    token = issuer.mint()
    assert await told(door, token) == "keys_unavailable"
    assert (await door.get("/api/brain/pages/x")).status == 200
    _, status, whole = await readiness(door)
    assert status == "degraded"
    assert issuer.issuer in whole
    assert len(upstream.seen) == 1
    del issuer.answers["jwks"]
    await until(lambda: _let_in(door, token))
    assert (await readiness(door))[1] == "ok"


async def _let_in(door: Gateway, token: str) -> bool:
    return await told(door, token) == "let in"


@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
async def test_keys_are_not_taken_from_where_an_answer_leads(
    gateway: MakeGateway, upstream: RecordingUpstream, issuer: KeyServer, status: str
) -> None:
    elsewhere = KeyServer(ONE, path="/elsewhere/")
    await elsewhere.start()
    issuer.answers["jwks"] = said(f"{status} There", b"", f"Location: {elsewhere.jwks_uri}")
    try:
        door = await gateway(text(upstream, issuer))
        assert await told(door, issuer.mint()) == "keys_unavailable"
        assert issuer.fetches == 1
        assert elsewhere.asked == []
    finally:
        await elsewhere.stop()


@pytest.mark.usefixtures("_no_floor", "_impatient")
@pytest.mark.parametrize("name", NO_KEYS)
async def test_keys_are_believed_on_when_a_later_answer_has_none(
    gateway: MakeGateway, upstream: RecordingUpstream, issuer: KeyServer, name: str
) -> None:
    door = await gateway(text(upstream, issuer))
    assert await told(door, issuer.mint()) == "let in"
    issuer.answers["jwks"] = NO_KEYS[name]
    assert await told(door, issuer.mint(TWO)) == "token_invalid"
    assert issuer.fetches > 1
    assert await told(door, issuer.mint(jti="another")) == "let in"


async def test_a_bomb_takes_no_memory(
    gateway: MakeGateway, upstream: RecordingUpstream, issuer: KeyServer
) -> None:
    issuer.answers["jwks"] = keykit.zipped(500 * 1024 * 1024)
    tracemalloc.start()
    try:
        door = await gateway(text(upstream, issuer))
        assert await told(door, issuer.mint()) == "keys_unavailable"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 * 1024 * 1024


def _other_members() -> dict[str, Answer]:
    twice = '{"keys": [], "keys": ' + keykit.jwks([ONE])[len('{"keys": ') :]
    odd = [
        {"kty": "RSA"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "short"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "off the curve"},
        {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "X25519", "x": "AA"},
        any_rsa("small", 1024).as_dict(private=False),
        {"kty": ["RSA"]},
        TWO.as_dict(private=True),
        None,
    ]
    return {
        "another type of answer": ok(keykit.jwks([ONE]), "text/plain"),
        "members twice": ok(twice),
        "keys that are none among them": ok(keykit.jwks([ONE], *odd)),
        "in pieces": keykit.slowly(ok(keykit.jwks([ONE])), 0.01),
        "as much as may be": ok(keykit.jwks([ONE]).ljust(LONGEST)),
    }


# Warnings are errors here and nowhere else: a short key must not be left out by that alone.
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
@pytest.mark.parametrize("name", _other_members())
async def test_an_odd_answer_that_has_the_key_is_taken(
    gateway: MakeGateway, upstream: RecordingUpstream, issuer: KeyServer, name: str
) -> None:
    issuer.answers["jwks"] = _other_members()[name]
    door = await gateway(text(upstream, issuer))
    assert await told(door, issuer.mint()) == "let in"
    # A key whose private half was published is anybody's.
    assert await told(door, issuer.mint(TWO)) == "token_invalid"
    small = any_rsa("small", 1024)
    assert await told(door, by_hand(header_of(small), claims_of(issuer), small)) == "token_invalid"


def _configurations(issuer: KeyServer) -> dict[str, Answer]:
    good = {"issuer": issuer.issuer, "jwks_uri": issuer.jwks_uri}

    def told_as(**more: object) -> bytes:
        return ok(json.dumps({**good, **more}))

    return {
        "another issuer": told_as(issuer="https://evil.example/"),
        "nearly the issuer": told_as(issuer=issuer.issuer[:-1]),
        "no address": ok(json.dumps({"issuer": issuer.issuer})),
        "an address that is none": told_as(jwks_uri=7),
        "a file": told_as(jwks_uri="file:///etc/hostname"),
        "an odd port": told_as(jwks_uri="http://127.0.0.1:99999/"),
        "no host": told_as(jwks_uri="http://"),
        "half a host": told_as(jwks_uri="http://[::1"),
        "an empty label": told_as(jwks_uri="http://a..b/"),
        "half a letter": told_as(jwks_uri="http://\ud800/"),
        "a list": ok("[]"),
        "a page": ok("<html>", "text/html"),
        "a redirect": said("302 Found", b"", f"Location: {issuer.jwks_uri}"),
        "hanging": keykit.hang,
        "huge": ok(json.dumps(good).ljust(LONGEST + 1)),
    }


@pytest.mark.usefixtures("_impatient", "_soon")
@pytest.mark.parametrize("name", _configurations(KeyServer()))
async def test_an_issuer_that_says_nothing_good_of_itself_is_not_believed(
    gateway: MakeGateway, upstream: RecordingUpstream, issuer: KeyServer, name: str
) -> None:
    issuer.answers["configuration"] = _configurations(issuer)[name]
    door = await gateway(text(upstream, issuer))
    assert await told(door, issuer.mint()) == "keys_unavailable"
    assert issuer.fetches == 0
    del issuer.answers["configuration"]
    await until(lambda: _let_in(door, issuer.mint()))


# -- away


@pytest.mark.usefixtures("_soon")
async def test_who_starts_without_the_issuer_serves_all_else_and_recovers(
    gateway: MakeGateway, upstream: RecordingUpstream, issuer: KeyServer
) -> None:
    await issuer.stop()
    began = time.monotonic()
    door = await gateway(text(upstream, issuer))
    assert time.monotonic() - began < 5
    reply = await door.get(PATH, f"Authorization: Bearer {issuer.mint()}")
    assert (reply.status, json.loads(reply.body)["code"]) == (503, "keys_unavailable")
    assert json.loads(reply.body)["retryable"] is True
    assert (await door.get("/api/brain/pages/x")).status == 200
    _, status, whole = await readiness(door)
    assert (status, "can't be fetched" in whole) == ("degraded", True)
    assert await door.reload() is None, "a reload is not refused for an issuer that is away"
    assert await told(door, issuer.mint()) == "keys_unavailable"
    await issuer.start()
    await until(lambda: _let_in(door, issuer.mint()))
    assert (await readiness(door))[1] == "ok"


async def test_an_issuer_that_fails_is_asked_again_at_growing_intervals(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    issuer: KeyServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("proxy.plugin.jwks._RETRY_FIRST", 0.1)
    monkeypatch.setattr("proxy.plugin.jwks._RETRY_MOST", 0.4)
    issuer.answers["configuration"] = said("503 Service Unavailable")
    door = await gateway(text(upstream, issuer))
    times: list[float] = []
    for count in range(2, 7):
        await until(lambda count=count: _asked(issuer, count))  # type: ignore[misc]
        times.append(time.monotonic())
    first, *_, last = [after - before for before, after in pairwise(times)]
    assert first < 0.3
    assert 0.3 < last < 0.7
    del issuer.answers["configuration"]
    await until(lambda: _let_in(door, issuer.mint()))


async def _asked(issuer: KeyServer, times: int) -> bool:
    return len(issuer.asked) >= times


async def test_a_reload_keeps_the_keys_and_asks_nobody(door: Gateway, issuer: KeyServer) -> None:
    assert await told(door, issuer.mint()) == "let in"
    await issuer.stop()
    before = len(issuer.asked)
    door.path.write_text(door.path.read_text() + "\n# changed\n")
    assert await door.reload() is None
    assert await told(door, issuer.mint(jti="new")) == "let in"
    assert len(issuer.asked) == before


@pytest.mark.usefixtures("_no_floor")
async def test_keys_are_asked_for_after_reloads_too(door: Gateway, issuer: KeyServer) -> None:
    for number in range(3):
        door.path.write_text(door.path.read_text() + f"\n# {number}\n")
        assert await door.reload() is None
    issuer.keys = [TWO]
    assert await told(door, issuer.mint(TWO)) == "let in"
    assert await told(door, issuer.mint(ONE)) == "token_invalid"


@pytest.mark.usefixtures("_soon")
async def test_a_reload_takes_an_issuer_that_is_away_and_forgets_the_one_of_before(
    door: Gateway, issuer: KeyServer
) -> None:
    assert await told(door, issuer.mint()) == "let in"
    new = KeyServer(TWO, path="/new/")
    door.path.write_text(door.path.read_text().replace(issuer.issuer, new.issuer))
    assert await door.reload() is None
    assert await told(door, issuer.mint()) == "token_issuer_unknown"
    assert await told(door, new.mint()) == "keys_unavailable"
    await new.start()
    try:
        await until(lambda: _let_in(door, new.mint()))
    finally:
        await new.stop()


@pytest.mark.usefixtures("_no_floor", "_soon")
async def test_keys_are_believed_for_a_bounded_time_only(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    issuer: KeyServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("proxy.plugin.jwks.STALE", 0.5)
    door = await gateway(text(upstream, issuer))
    token = issuer.mint()
    await issuer.stop()
    assert await told(door, token) == "let in"
    # A token of an unknown key makes it ask; then it goes on by itself.
    assert await told(door, issuer.mint(TWO)) == "token_invalid"
    assert await told(door, token) == "let in"
    await until(lambda: _unavailable(door, token))
    assert (await readiness(door))[1] == "degraded"
    await issuer.start()
    await until(lambda: _let_in(door, token))


async def _unavailable(door: Gateway, token: str) -> bool:
    return await told(door, token) == "keys_unavailable"


@pytest.mark.usefixtures("_no_floor")
async def test_others_are_served_while_keys_are_waited_for(
    door: Gateway, issuer: KeyServer
) -> None:
    issuer.answers["jwks"] = keykit.hang
    waiting = [asyncio.ensure_future(told(door, issuer.mint(TWO, jti=str(n)))) for n in range(20)]
    async with asyncio.timeout(5):
        while issuer.fetches < 2:
            await asyncio.sleep(0.01)
    slowest = 0.0
    for _ in range(50):
        began = time.perf_counter()
        assert (await door.get("/api/brain/pages/x")).status == 200
        assert await told(door, issuer.mint()) == "let in"
        slowest = max(slowest, time.perf_counter() - began)
    assert slowest < 0.5
    assert not any(task.done() for task in waiting)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
