"""What a caller's claims can't reach: nothing that is no name gets as far as the server."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from proxy.config.load import InvalidConfig
from proxy.errors import ConfigError
from tests.functional.baokit import Bao
from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, RecordingUpstream, Reply, request
from tests.functional.vaultkit import USE, Entry, ask, code_of, routes, write_keys

WRONG: dict[str, Any] = {
    "a parent": "..",
    "the same": ".",
    "a parent within": "acme/../globex",
    "a parent first": "../acme",
    "a parent last": "acme/..",
    "many": "../../../sys/seal",
    "quoted dots": "%2e%2e",
    "a quoted dot": "%2e",
    "a quoted slash": "..%2Fglobex",
    "a slash that is quoted twice": "..%252fglobex",
    "a slash": "acme/crm",
    "an absolute path": "/acme",
    "a backslash": "..\\globex",
    "a star": "*",
    "a star behind": "acme*",
    "a plus": "+",
    "a question": "acme?version=1",
    "a fragment": "acme#x",
    "a template": "${secret.key}",
    "hidden": ".acme",
    "a dash first": "-acme",
    "a colon": "acme:x",
    "a matrix parameter": "acme;x=1",
    "an at": "user@acme",
    "a space": "acme crm",
    "a space behind": "acme ",
    "a letter of others": "äcme",
    "a full-width dot": "\uff0e\uff0e",
    "a full-width slash": "acme\uff0fcrm",
    "a letter that looks the same": "\u0430cme",
    "a digit of others": "acme\u0661",
    "a mark of direction": "acme\u202e",
    "half a letter": "\ud800",
    "a NUL": "acme\x00",
    "a line break": "acme\n",
    "a return": "acme\r\nX-Vault-Token: x",
    "a tab": "acme\t",
    "an escape": "\x1b[2J",
    "empty": "",
    "129 characters": "a" * 129,
    "1,000 characters": "a" * 1000,
}
NO_TEXT: dict[str, Any] = {
    "a list": ["acme"],
    "an empty list": [],
    "a list of two": ["acme", "globex"],
    "a number": 7,
    "a fraction": 1.5,
    "true": True,
    "null": None,
    "an object": {"name": "acme"},
}
CLAIM = 'secret: "tenants/${claims.shop}/crm"'


@pytest.fixture
def entry(bao: Bao, tmp_path: Path) -> Entry:
    write_keys(bao, ["acme", "globex"])
    return Entry.made(bao, tmp_path)


def claiming(**claims: Any) -> bytes:
    token = base64.urlsafe_b64encode(json.dumps({"sub": "ada", **claims}).encode()).decode()
    return request("/api/brain/crm/x", f"Authorization: Bearer {token}")


async def refused(running: Gateway, raw: bytes, name: str) -> None:
    reply: Reply = await running.ask(raw)
    assert reply.status == 403, (name, reply)
    assert code_of(reply) in {"claim_invalid", "claim_missing"}, name
    assert b"acme" not in reply.body


async def test_no_claim_leads_anywhere_but_to_a_name_below_the_same_folder(
    gateway: MakeGateway, upstream: RecordingUpstream, bao: Bao, entry: Entry
) -> None:
    """The server has seen nothing but the login when all have been refused."""
    running = await gateway(routes(entry.section(), upstream.url, f"{CLAIM}, {USE}"))
    bao.forget_requests()
    for name, value in {**WRONG, **NO_TEXT}.items():
        await refused(running, claiming(shop=value), name)
    await refused(running, claiming(), "without")
    assert bao.requests() == []
    assert upstream.seen == []
    assert (await running.ask(claiming(shop="acme"))).status == 200
    assert bao.requests() == [("read", "secret/data/tenants/acme/crm")]
    longest = "a" * 128
    assert (await running.ask(claiming(shop=longest))).status == 424
    assert bao.reads(f"tenants/{longest}/crm") == 1


@pytest.mark.parametrize("of", ["tenant", "subject"])
async def test_nor_does_a_tenant_or_a_subject(
    gateway: MakeGateway, upstream: RecordingUpstream, bao: Bao, entry: Entry, of: str
) -> None:
    options = f'secret: "tenants/${{principal.{of}}}/crm", {USE}'
    running = await gateway(routes(entry.section(), upstream.url, options))
    bao.forget_requests()
    claim = {"tenant": "tenant", "subject": "sub"}[of]
    for name, value in WRONG.items():
        reply = await running.ask(claiming(**{claim: value}))
        # A principal without a subject is none at all: that is 401.
        assert reply.status in {401, 403}, name
    assert bao.requests() == []
    assert upstream.seen == []


async def test_nor_does_one_that_a_mount_of_the_file_is_named_after(
    gateway: MakeGateway, upstream: RecordingUpstream, bao: Bao, entry: Entry
) -> None:
    """The first segment is the file's own, so a value can't choose among mounts."""
    bao.kv1("tenants-kv1")
    bao.write("tenants-kv1/acme", key="of-the-other-mount")
    section = entry.section(more="mounts: {tenants-kv1: {engine: kv1}}")
    running = await gateway(routes(section, upstream.url))
    bao.forget_requests()
    assert (await ask(running, "tenants-kv1")).status == 424
    assert bao.requests() == [("read", "secret/data/tenants/tenants-kv1/crm")]


# -- what the file itself can't mean


NAMES = "expected names of letters, digits"
BAD: dict[str, tuple[str, int, str]] = {
    "a store that the file has not": (
        f"secret: platform/a, store: file, {USE}",
        11,
        "store 'file'",
    ),
    "a header in a path": (
        f'secret: "tenants/${{request.header.X-Tenant-Id}}/crm", {USE}',
        11,
        "request",
    ),
    "a parameter of the path in a path": (
        f'secret: "tenants/${{request.path.tenant}}/crm", {USE}',
        11,
        "request",
    ),
    "a first segment of the caller's": (
        f'secret: "${{principal.tenant}}/crm", {USE}',
        11,
        "first segment",
    ),
    "a first segment that is half the caller's": (
        f'secret: "t-${{principal.tenant}}/crm", {USE}',
        11,
        "first segment",
    ),
    "a parent in a path": (f"secret: tenants/../admin, {USE}", 11, NAMES),
    "an absolute path": (f"secret: /tenants/a, {USE}", 11, NAMES),
    "a quoted parent": (f"secret: tenants/%2e%2e/a, {USE}", 11, NAMES),
}


@pytest.mark.parametrize("name", BAD)
async def test_what_can_not_be_meant_is_refused_with_its_line_and_nobody_is_asked(
    gateway: MakeGateway, upstream: RecordingUpstream, bao: Bao, entry: Entry, name: str
) -> None:
    options, line, said = BAD[name]
    bao.forget_requests()
    with pytest.raises(InvalidConfig) as raised:
        await gateway(routes(entry.section(), upstream.url, options))
    assert f"routes0.yaml:{line}:" in str(raised.value)
    assert said in str(raised.value)
    assert bao.requests() == []


LITERAL = f"secret: platform/shared, {USE}"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("", ""), "there is no secret/data/platform/shared"),
        (("cache:", "mount: nowhere, cache:"), "nowhere/data/platform/shared"),
        (("cache:", "mount: sys, cache:"), "sys/data/platform/shared"),
        (("cache:", "mounts: {platform: {engine: kv1}}, cache:"), "platform/shared"),
        (("cache:", "mount: of-kv1, cache:"), "of-kv1"),
    ],
    ids=["no such path", "no such mount", "no KV", "no such mount of several", "another engine"],
)
async def test_what_the_server_has_not_refuses_the_file_at_the_entry_that_needs_it(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    bao: Bao,
    tmp_path: Path,
    change: tuple[str, str],
    said: str,
) -> None:
    bao.kv1("of-kv1")
    bao.write("of-kv1/data/platform/shared", key="of-version-one")
    everything = 'path "*" { capabilities = ["read"] }'
    section = Entry.made(bao, tmp_path, everything).section().replace(*change)
    with pytest.raises(ConfigError) as raised:
        await gateway(routes(section, upstream.url, LITERAL))
    assert "routes0.yaml:11:" in str(raised.value)
    assert said in str(raised.value) + str(raised.value.hint)


async def test_what_a_policy_forbids_refuses_the_file_and_a_reload_leaves_the_old_one(
    gateway: MakeGateway, upstream: RecordingUpstream, bao: Bao, tmp_path: Path
) -> None:
    write_keys(bao, ["acme"])
    bao.put("platform/shared", key="key-of-all")
    narrow = 'path "secret/data/tenants/*" { capabilities = ["read"] }'
    section = Entry.made(bao, tmp_path, narrow).section()
    with pytest.raises(ConfigError, match="forbids secret/data/platform/shared") as raised:
        await gateway(routes(section, upstream.url, LITERAL))
    assert "routes0.yaml:11:" in str(raised.value)
    assert "brain secrets policy" in (raised.value.hint or "")
    running = await gateway(routes(section, upstream.url))
    running.path.write_text(routes(section, upstream.url, LITERAL))
    assert "forbids secret/data/platform/shared" in str(await running.reload())
    assert (await ask(running, "acme")).status == 200


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o666, None])
async def test_a_secret_id_that_others_may_read_or_that_is_not_there(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    bao: Bao,
    entry: Entry,
    mode: int | None,
) -> None:
    """One that is open is refused; one that is missing may come, and its routes wait for it."""
    bao.put("platform/shared", key="key-of-all")
    bao.forget_requests()
    if mode is not None:
        entry.file.chmod(mode)
        with pytest.raises(ConfigError) as raised:
            await gateway(routes(entry.section(), upstream.url, LITERAL))
        assert raised.value.hint == f"chmod 600 {entry.file}"
        assert "routes0.yaml:11:" in str(raised.value)
        assert bao.requests() == []
        return
    secret_id = entry.file.read_text()
    entry.file.unlink()
    running = await gateway(routes(entry.section(), upstream.url, LITERAL))
    reply = await ask(running, "acme")
    assert (reply.status, code_of(reply)) == (503, "secret_unavailable")
    assert str(entry.file) in (await running.admin("/ready")).body.decode()
    assert bao.requests() == []
    entry.file.write_text(secret_id)
    entry.file.chmod(0o600)
    async with asyncio.timeout(5):
        while (await ask(running, "acme")).status != 200:
            await asyncio.sleep(0.05)
