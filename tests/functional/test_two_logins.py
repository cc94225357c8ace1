"""Two backends that call their cookies alike, behind one name: as a browser keeps and sends them."""

from __future__ import annotations

from http.cookies import SimpleCookie

from aiohttp import ClientSession, CookieJar

from tests.functional.conftest import MakeGateway
from tests.functional.kit import RecordingUpstream


def login(session: str, path: str) -> bytes:
    """Answer as Django does after a login."""
    return (
        f"HTTP/1.1 200 OK\r\nSet-Cookie: sessionid={session}; HttpOnly; Path={path}; SameSite=Lax\r\n"
        f"Set-Cookie: csrftoken=of-{session}; Path={path}; Domain=127.0.0.1\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


def cookies(upstream: RecordingUpstream) -> dict[str, str]:
    (sent,) = upstream.last.all("Cookie") or [""]
    parsed = SimpleCookie(sent)
    assert len(parsed) == sent.count("="), "a name came twice"
    return {name: morsel.value for name, morsel in parsed.items()}


async def test_two_django_backends_keep_their_own_sessions(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    other = RecordingUpstream()
    await other.start()
    running = await gateway(
        f"""
        version: 1
        services:
          crm: {{upstream: "{upstream.url}/api", aliases: [django-crm], public: true}}
          wagtail: {{upstream: "{other.url}", public: true}}
        """
    )
    base = f"http://127.0.0.1:{running.port}/api/brain"
    upstream.answer, other.answer = login("crm", "/"), login("cms", "/")
    try:
        # A jar as a browser has it (RFC 6265, 5.3 and 5.4); "unsafe" lets it take those of addresses.
        async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as browser:

            async def visit(path: str) -> None:
                async with browser.get(f"{base}{path}") as reply:
                    assert reply.status == 200
                    assert "127.0.0.1" not in "".join(reply.headers.getall("Set-Cookie", []))

            await visit("/crm/login/")
            await visit("/wagtail/admin/login/")
            await visit("/crm/contacts/1")
            mine = {"sessionid": "crm", "csrftoken": "of-crm"}
            assert cookies(upstream) == mine
            await visit("/wagtail/pages/")
            assert cookies(other) == {"sessionid": "cms", "csrftoken": "of-cms"}
            await visit("/crm/")
            assert cookies(upstream) == mine
            # The other prefix of the same service is another place for a browser.
            await visit("/django-crm/x")
            assert cookies(upstream) == {}

            upstream.answer = login("gone", "/").replace(b"Lax", b"Lax; Max-Age=0")
            await visit("/crm/logout/")
            await visit("/wagtail/pages/")
            assert cookies(other)["sessionid"] == "cms", "one logout is not the other's"
    finally:
        await other.close()


async def test_left_alone_the_second_login_overwrites_the_first(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    """What `cookies: keep` gives up; a jar that keeps cookies apart anyway would prove nothing above."""
    running = await gateway(
        f"""
        version: 1
        services:
          crm: {{upstream: "{upstream.url}", public: true, cookies: keep}}
          wagtail: {{upstream: "{upstream.url}", public: true, cookies: keep}}
        """
    )
    base = f"http://127.0.0.1:{running.port}/api/brain"
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as browser:
        for service, session in (("crm", "crm"), ("wagtail", "cms"), ("crm", "again")):
            upstream.answer = login(session, "/")
            async with browser.get(f"{base}/{service}/x"):
                pass
        assert cookies(upstream)["sessionid"] == "cms"
