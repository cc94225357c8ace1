"""Providers that sign what they send: their own examples, and signatures by other hands."""

import asyncio
import base64
import hashlib
import hmac
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from plugin_kit import Found, Kit, request_of

from plugins.webhook import Webhook
from plugins.webhook.schemes import MOST, parts_of
from proxy import EXCHANGE, ConfigError, GatewayError, Principal, Unauthenticated, Unavailable
from proxy.testing.store import LOOK_AGAIN

NOW = 1_800_000_000
BODY = b'{"id": "evt_1", "amount": 100}\n'
SECRET = "whsec_5bc2"
PLACE = "integrations/x"


def refs(*names: str) -> list[dict[str, str]]:
    return [{"secret": PLACE, "field": name} for name in names]


async def running(kit: Kit, provider: str, at: float = NOW, **more: Any) -> Webhook:
    kit.store.setdefault(PLACE, {}).setdefault("one", SECRET)
    options = {"provider": provider, "secrets": refs("one"), **more}
    return await kit.run(Webhook, options, now=lambda: at)


async def ask(plugin: Webhook, headers: Any, body: bytes = BODY) -> Principal | None:
    request = request_of("POST", headers=headers)
    request[EXCHANGE].outgoing.hold(body)
    return await plugin.authenticate(request)


async def refused(
    plugin: Webhook, headers: Any, body: bytes = BODY, code: str = "signature_invalid"
) -> None:
    with pytest.raises(Unauthenticated) as raised:
        await ask(plugin, headers, body)
    assert (raised.value.code, raised.value.status) == (code, 401)
    assert SECRET not in str(raised.value)


# -- signatures by other hands than the plugin's


def hex_of(content: bytes, secret: str = SECRET, algorithm: str = "sha256") -> str:
    return hmac.new(secret.encode(), content, algorithm).hexdigest()


def stripe(
    body: bytes = BODY, at: int = NOW, secret: str = SECRET, scheme: str = "v1"
) -> dict[str, str]:
    signature = hex_of(b"%d." % at + body, secret)
    return {"Stripe-Signature": f"t={at},{scheme}={signature},v0=6ffbb59b2300aae63f272406069a9788"}


def github(body: bytes = BODY, secret: str = SECRET) -> dict[str, str]:
    return {"X-Hub-Signature-256": "sha256=" + hex_of(body, secret)}


def shopify(body: bytes = BODY, secret: str = SECRET) -> dict[str, str]:
    made = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return {"X-Shopify-Hmac-Sha256": base64.b64encode(made).decode()}


def razorpay(body: bytes = BODY, secret: str = SECRET) -> dict[str, str]:
    return {"X-Razorpay-Signature": hex_of(body, secret)}


SIGNERS = {"stripe": stripe, "github": github, "shopify": shopify, "razorpay": razorpay}


async def test_githubs_own_example_is_good(kit: Kit) -> None:
    """As published in GitHub's documentation, "Validating webhook deliveries"."""
    kit.store.setdefault(PLACE, {})["one"] = "It's a Secret to Everybody"
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    plugin = await running(kit, "github")
    assert await ask(plugin, {"X-Hub-Signature-256": signature}, b"Hello, World!")


SLACK = {
    "header": "X-Slack-Signature",
    "prefix": "v0=",
    "payload": "v0:{timestamp}:{body}",
    "timestamp_header": "X-Slack-Request-Timestamp",
}
SLACKS_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow"
    b"&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner"
    b"&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands"
    b"%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121"
    b".803a0bc887a14d10d2c447fce8b6703c"
)


async def test_slacks_own_example_is_good_in_a_way_that_the_file_tells(kit: Kit) -> None:
    """As published in Slack's documentation, "Verifying requests from Slack"."""
    kit.store.setdefault(PLACE, {})["one"] = "8f742231b10e8888abcd99yyyzzz85a5"
    plugin = await running(kit, "hmac", 1531420618, hmac=SLACK)
    headers = {
        "X-Slack-Request-Timestamp": "1531420618",
        "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    }
    assert await ask(plugin, headers, SLACKS_BODY)
    await refused(plugin, {**headers, "X-Slack-Request-Timestamp": "1531420619"}, SLACKS_BODY)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_what_openssl_signs_is_good(kit: Kit, algorithm: str) -> None:
    plugin = await running(
        kit,
        "hmac",
        hmac={"header": "X-Signed", "algorithm": algorithm, "encoding": "base64"},
    )
    made = subprocess.run(
        ["openssl", "dgst", f"-{algorithm}", "-hmac", SECRET, "-binary"],
        input=BODY,
        capture_output=True,
        check=True,
    ).stdout
    headers = {"X-Signed": base64.b64encode(made).decode()}
    assert await ask(plugin, headers)
    await refused(plugin, headers, BODY.rstrip())


@pytest.mark.parametrize("provider", SIGNERS)
async def test_whoever_signs_as_the_provider_does_gets_in(kit: Kit, provider: str) -> None:
    plugin = await running(kit, provider, name="shop", tenant="acme")
    principal = await ask(plugin, SIGNERS[provider]())
    assert principal is not None
    assert (principal.subject, principal.tenant, principal.by) == ("shop", "acme", "some-identity")
    assert (principal.claims, principal.ambient) == ({"provider": provider}, False)


# -- what is refused


@pytest.mark.parametrize("provider", SIGNERS)
async def test_one_changed_byte_of_the_body_spoils_the_signature(kit: Kit, provider: str) -> None:
    plugin = await running(kit, provider, replay="0s")
    for at in range(len(BODY)):
        changed = BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :]
        await refused(plugin, SIGNERS[provider](), changed)
    for other in (BODY + b" ", BODY[:-1], b"", BODY.replace(b" ", b"")):
        await refused(plugin, SIGNERS[provider](), other)
    assert await ask(plugin, SIGNERS[provider]())


@pytest.mark.parametrize("provider", SIGNERS)
async def test_another_secret_signs_nothing(kit: Kit, provider: str) -> None:
    plugin = await running(kit, provider)
    for secret in ("", "whsec_5bc3", SECRET + " ", SECRET.upper()):
        await refused(plugin, SIGNERS[provider](secret=secret))


@pytest.mark.parametrize("provider", SIGNERS)
async def test_a_signature_that_is_cut_short_or_spoilt_is_none(kit: Kit, provider: str) -> None:
    plugin = await running(kit, provider, replay="0s")
    ((name, value),) = SIGNERS[provider]().items()
    value = value.partition(",v0")[0]
    spoilt = [
        value[:-1],
        value[:-2],
        value[:-4],
        value + "0",
        value + "00",
        value + "==",
        value[5:],
    ]
    spoilt += [
        "",
        " ",
        "=",
        "sha256=",
        "t=,v1=",
        value.replace("=", ":"),
        value + "\u00e4",
        "x" * 5000,
    ]
    spoilt += [value[:-3] + " " + value[-2:], value + ", " + value]
    for other in set(spoilt) - {value}:
        await refused(plugin, {name: other})
    assert await ask(plugin, {name: value})


@pytest.mark.parametrize("provider", SIGNERS)
async def test_a_header_that_is_there_twice_is_refused(kit: Kit, provider: str) -> None:
    ((name, value),) = SIGNERS[provider]().items()
    twice = CIMultiDict([(name, value), (name.lower(), value)])
    await refused(await running(kit, provider), twice)


@pytest.mark.parametrize("provider", [*SIGNERS, "hmac"])
async def test_no_signature_is_none_of_its_business(kit: Kit, provider: str) -> None:
    plugin = await running(kit, provider, **({"hmac": SLACK} if provider == "hmac" else {}))
    assert (
        await ask(plugin, {"Authorization": "Bearer x", "X-Slack-Request-Timestamp": "1"}) is None
    )
    assert str(plugin.challenge()).startswith('Webhook realm="brain", header="')


async def test_the_old_way_of_github_is_no_signature(kit: Kit) -> None:
    made = hmac.new(SECRET.encode(), BODY, hashlib.sha1).hexdigest()
    plugin = await running(kit, "github")
    assert await ask(plugin, {"X-Hub-Signature": f"sha1={made}"}) is None
    await refused(plugin, {"X-Hub-Signature-256": f"sha1={made}"})


# -- time


@pytest.mark.parametrize(
    ("at", "good"),
    [(0, True), (300, True), (-300, True), (-301, False), (301, False), (-90000, False)],
)
async def test_a_time_that_is_not_about_now_is_refused(kit: Kit, at: int, good: bool) -> None:
    plugin = await running(kit, "stripe")
    if good:
        assert await ask(plugin, stripe(at=NOW + at))
    else:
        await refused(plugin, stripe(at=NOW + at), code="webhook_expired")


async def test_a_time_that_was_not_signed_does_not_count(kit: Kit) -> None:
    plugin = await running(kit, "stripe")
    value = stripe(at=NOW - 600)["Stripe-Signature"]
    await refused(plugin, {"Stripe-Signature": value.replace(str(NOW - 600), str(NOW))})
    await refused(plugin, {"Stripe-Signature": f"t={NOW},{value}"})


@pytest.mark.parametrize(
    "text", ["", "now", "-1", "+1800000000", "1800000000.0", "\u0661", "9" * 13]
)
async def test_a_time_that_is_no_number_is_refused(kit: Kit, text: str) -> None:
    plugin = await running(kit, "stripe")
    await refused(plugin, {"Stripe-Signature": f"t={text},v1={hex_of(BODY)}"})


# -- rotation


async def test_any_live_secret_is_good_and_one_of_several_signatures_is_enough(kit: Kit) -> None:
    kit.store[PLACE] = {"one": "new", "two": "old"}
    plugin = await running(kit, "stripe", secrets=refs("one", "two"), replay="0s")
    assert await ask(plugin, stripe(secret="new"))
    assert await ask(plugin, stripe(secret="old"))
    await refused(plugin, stripe(secret="older"))
    good, bad = (hex_of(b"%d." % NOW + BODY, secret) for secret in ("old", "older"))
    assert await ask(plugin, {"Stripe-Signature": f"t={NOW}, v1={bad}, v1={good}"})
    many = ",".join([f"v1={bad}"] * MOST + [f"v1={good}"])
    await refused(plugin, {"Stripe-Signature": f"t={NOW},{many}"})
    await refused(plugin, stripe(secret="new", scheme="v0"))


async def test_a_secret_that_changes_in_the_store_holds_from_then_on(kit: Kit) -> None:
    plugin = await running(kit, "github", replay="0s")
    kit.store.setdefault(PLACE, {})["one"] = "another"
    await asyncio.sleep(5 * LOOK_AGAIN)
    await refused(plugin, github())
    assert await ask(plugin, github(secret="another"))


async def test_an_empty_secret_lets_nobody_in(kit: Kit) -> None:
    plugin = await running(kit, "github")
    kit.store.setdefault(PLACE, {})["one"] = ""
    await asyncio.sleep(5 * LOOK_AGAIN)
    with pytest.raises(Unavailable) as raised:
        await ask(plugin, github(secret=""))
    assert raised.value.code == "secret_unavailable"
    with pytest.raises(ConfigError):
        await running(kit, "github")


# -- replays


async def test_a_delivery_gets_through_once(kit: Kit) -> None:
    plugin = await running(kit, "stripe")
    value = stripe()["Stripe-Signature"]
    assert await ask(plugin, {"Stripe-Signature": value})
    for again in (
        value,
        value.replace(",", ", "),
        value.partition(",v0")[0],
        f"v1={'0' * 64},{value}",
    ):
        with pytest.raises(GatewayError) as raised:
            await ask(plugin, {"Stripe-Signature": again})
        assert (raised.value.code, raised.value.status) == ("webhook_replayed", 409)
    assert await ask(plugin, stripe(at=NOW + 1))


async def test_each_of_several_good_signatures_lets_one_delivery_through_but_once(kit: Kit) -> None:
    kit.store[PLACE] = {"one": "new", "two": "old"}
    plugin = await running(kit, "github", secrets=refs("one", "two"))
    assert await ask(plugin, github(secret="new"))
    with pytest.raises(GatewayError, match="webhook_replayed"):
        await ask(plugin, github(secret="old"))


@pytest.mark.parametrize(
    ("status", "error", "again"),
    [
        (200, False, False),
        (204, False, False),
        (200, True, True),
        (503, False, True),
        (302, False, True),
    ],
)
async def test_what_was_not_answered_well_may_come_again(
    kit: Kit, status: int, error: bool, again: bool
) -> None:
    plugin = await running(kit, "github")
    request = request_of("POST", headers=github())
    exchange = request[EXCHANGE]
    exchange.outgoing.hold(BODY)
    assert await plugin.authenticate(request)
    left = GatewayError("client_left") if error else None
    exchange.status, exchange.error = status, left
    for callback in exchange.callbacks or []:
        forgetting = callback(exchange)
        if forgetting is not None:
            await forgetting
    if again:
        assert await ask(plugin, github())
    else:
        with pytest.raises(GatewayError, match="webhook_replayed"):
            await ask(plugin, github())


async def test_who_can_not_sign_fills_no_list(kit: Kit) -> None:
    plugin = await running(kit, "github")
    for number in range(5):
        await refused(plugin, github(secret="bad"), b"%d" % number)
    assert len(kit._shared["once"]) == 0


def test_several_workers_need_a_shared_list(kit: Kit) -> None:
    options = {"provider": "github", "secrets": refs("one")}
    alone = kit.make(Webhook, options)
    assert alone.one_process == "the list of received deliveries"
    assert kit.make(Webhook, {**options, "replay": "0s"}).one_process is None
    shared = kit.make(Webhook, {**options, "store": {"valkey": "redis://127.0.0.1:6379"}})
    assert shared.one_process is None


# -- options


@given(st.text(alphabet="{}timestamp.body:v0 ", max_size=30))
def test_what_is_signed_has_one_body_and_its_time_before_it(text: str) -> None:
    try:
        before, between, after = parts_of(text)
    except ValueError:
        return
    timed = "{timestamp}" if "{timestamp}" in text else ""
    assert f"{before}{timed}{between}{{body}}{after}" == text


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"provider": "github"}, "provider"),
        ({"provider": "github", "secrets": refs("a"), "jwks_uri": "https://x/j"}, "jwks_uri"),
        ({"provider": "github", "secrets": refs("a"), "hmac": SLACK}, "hmac"),
        ({"provider": "saleor"}, "provider"),
        ({"provider": "saleor", "jwks_uri": "https://x/j", "secrets": refs("a")}, "secrets"),
        ({"provider": "hmac", "secrets": refs("a")}, "provider"),
        ({"hmac": {"header": "X", "payload": "{timestamp}"}}, "hmac.payload"),
        ({"hmac": {"header": "X", "payload": "{timestamp}.{body}"}}, "hmac.payload"),
        ({"hmac": {"header": "X", "payload": "{body}.{timestamp}"}}, "hmac.payload"),
        ({"hmac": {"header": "X", "timestamp_header": "X-T"}}, "hmac.timestamp_header"),
        ({"hmac": {"header": "X"}, "tolerance": "2h"}, "tolerance"),
        ({"hmac": {"header": "X"}, "replay": "25h"}, "replay"),
        ({"hmac": {"header": "X"}, "max_body": "17MiB"}, "max_body"),
    ],
)
def test_options_that_can_not_be_meant_are_reported(
    kit: Kit, given: dict[str, Any], option: str
) -> None:
    found = Found()
    whole = given if "provider" in given else {"provider": "hmac", "secrets": refs("a"), **given}
    kit.make(Webhook, whole).check(found)
    assert list(found.errors) == [option]


def test_a_window_that_is_too_short_is_warned_of(kit: Kit) -> None:
    found = Found()
    kit.make(Webhook, {"provider": "stripe", "secrets": refs("a"), "replay": "1m"}).check(found)
    assert list(found.warnings) == ["replay"]


def test_explain_says_what_is_verified(kit: Kit) -> None:
    plugin = kit.make(Webhook, {"provider": "stripe", "secrets": refs("one")})
    assert plugin.explain(request_of()[EXCHANGE]) == [
        "verifies Stripe-Signature of stripe on the raw body, made within 300 s",
        "remembers what got through for 600 s",
    ]
