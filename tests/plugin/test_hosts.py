"""Which base URLs a tenant may have, and what is said of the others."""

from __future__ import annotations

import gc

import pytest

from proxy import ConfigError, Origin, Outgoing, TenantHosts
from proxy.plugin.hosts import KEPT, alias_of


def hosts(
    *suffixes: str, networks: tuple[str, ...] = (), ports: tuple[int, ...] = (443,)
) -> TenantHosts:
    return TenantHosts(suffixes, networks, ports)


SHOPS = hosts("myshopify.com", "Shops.Example.", networks=("127.0.0.0/8", "fd00::/8"))
ANY = hosts()

GOOD = {
    "https://acme.myshopify.com": ("acme.myshopify.com", ""),
    "https://acme.myshopify.com/": ("acme.myshopify.com", ""),
    "HTTPS://ACME.MyShopify.COM/Admin/api/": ("acme.myshopify.com", "/Admin/api"),
    "https://acme.myshopify.com./x": ("acme.myshopify.com", "/x"),
    "https://acme.myshopify.com:443/x": ("acme.myshopify.com", "/x"),
    "https://acme.myshopify.com:0443": ("acme.myshopify.com", ""),
    "https://a.b.c.myshopify.com/wp-json/wp%20v2/@me": (
        "a.b.c.myshopify.com",
        "/wp-json/wp%20v2/@me",
    ),
    "https://myshopify.com": ("myshopify.com", ""),
    "https://acme.shops.example": ("acme.shops.example", ""),
    "https://xn--bcher-kva.myshopify.com": ("xn--bcher-kva.myshopify.com", ""),
    "https://127.0.0.5/x": ("127.0.0.5", "/x"),
    "https://[::ffff:127.0.0.1]": ("::ffff:7f00:1", ""),
    "https://[FD00:0:0::1]:443": ("fd00::1", ""),
}

BAD = [
    "",
    "acme.myshopify.com",
    "//acme.myshopify.com",
    "http://acme.myshopify.com",
    "ftp://acme.myshopify.com",
    "https:acme.myshopify.com",
    "https:/acme.myshopify.com",
    "https:///acme.myshopify.com",
    "https://",
    "https://user@acme.myshopify.com",
    "https://user:pass@acme.myshopify.com",
    "https://acme.myshopify.com@evil.example",
    "https://evil.example#@acme.myshopify.com",
    "https://evil.example?@acme.myshopify.com",
    "https://evil.example\\@acme.myshopify.com",
    "https://evil.example\\.myshopify.com",
    "https://evilmyshopify.com",
    "https://acme.evilmyshopify.com",
    "https://myshopify.com.evil.example",
    "https://acme.myshopify.com.evil.example/acme.myshopify.com",
    "https://.myshopify.com",
    "https://acme..myshopify.com",
    "https://acme.myshopify.com..",
    "https://.",
    "https://-acme.myshopify.com",
    "https://acme-.myshopify.com",
    "https://ac_me.myshopify.com",
    "https://*.myshopify.com",
    "https://acme%2emyshopify.com",
    "https://evil.example%00.myshopify.com",
    "https://evil.example%2f.myshopify.com",
    "https://b\u00fccher.myshopify.com",
    "https://acme\u3002myshopify.com",
    "https://acme.myshopify.com\uff0f.evil.example",
    "https://acme.myshop\u0131fy.com",
    "https://\u24d0cme.myshopify.com",
    " https://acme.myshopify.com",
    "https://acme.myshopify.com ",
    "https://acme.myshopify.com\n",
    "https://acme.myshopify.com\r\nHost: x",
    "https://ac\tme.myshopify.com",
    "https://acme.myshopify.com/\x00",
    "https://acme.myshopify.com/a b",
    "https://acme.myshopify.com:8443",
    "https://acme.myshopify.com:80",
    "https://acme.myshopify.com:",
    "https://acme.myshopify.com:0",
    "https://acme.myshopify.com:65979",
    "https://acme.myshopify.com:+443",
    "https://acme.myshopify.com:443:443",
    "https://acme.myshopify.com:443x",
    "https://acme.myshopify.com?x=1",
    "https://acme.myshopify.com/x?x=1",
    "https://acme.myshopify.com/x#y",
    "https://acme.myshopify.com/x?",
    "https://acme.myshopify.com//x",
    "https://acme.myshopify.com/x//",
    "https://acme.myshopify.com/../x",
    "https://acme.myshopify.com/x/..",
    "https://acme.myshopify.com/%2e%2e/x",
    "https://acme.myshopify.com/%2E./x",
    "https://acme.myshopify.com/..;/x",
    "https://acme.myshopify.com/x%0d%0ay",
    "https://acme.myshopify.com/%c0%ae%c0%ae/x",
    "https://10.0.0.1",
    "https://8.8.8.8",
    "https://8.8.8.8.",
    "https://127.1",
    "https://2130706433",
    "https://0x7f000001",
    "https://0x7f.0.0.1",
    "https://0177.0.0.1",
    "https://127.0.0.01",
    "https://127.0.0.0x1",
    "https://0x",
    "https://[::1]",
    "https://[fe80::1%25eth0]",
    "https://[fe80::1%eth0]",
    "https://[::1",
    "https://::1",
    "https://[]",
    "https://[acme.myshopify.com]",
    "https://[127.0.0.1]x",
    f"https://{'a' * 64}.myshopify.com",
    f"https://{'a.' * 126}myshopify.com",
    f"https://acme.myshopify.com/{'x' * 2048}",
    "https://localhost",
    "https://vault",
]


@pytest.mark.parametrize("text", GOOD)
def test_a_base_url_is_read_in_one_form(text: str) -> None:
    origin = SHOPS.origin(text)
    assert (origin.host, origin.path) == GOOD[text]
    assert origin.port == 443
    assert SHOPS.origin(text) is origin, "the text is remembered"


@pytest.mark.parametrize("text", BAD)
def test_what_may_not_be_named_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^it") as refused:
        SHOPS.origin(text)
    said = str(refused.value).lower()
    assert "acme" not in said
    assert "evil" not in said
    assert len(text) < len("https://x") or text.lower() not in said
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize(
    "text",
    ["https://localhost", "https://vault", "https://8.8.8.8", "https://[2606:4700::1111]"],
)
def test_without_suffixes_any_public_name_will_do_and_nothing_else(text: str) -> None:
    assert ANY.origin("https://blog.example.org/wp-json").host == "blog.example.org"
    with pytest.raises(ValueError, match="its host is"):
        ANY.origin(text)


def test_the_operator_lists_the_ports() -> None:
    named = hosts("example.com", ports=(443, 8443))
    assert named.origin("https://a.example.com:8443").port == 8443
    assert named.origin("https://a.example.com").port == 443
    only = hosts("example.com", ports=(8443,))
    with pytest.raises(ValueError, match="its port"):
        only.origin("https://a.example.com")


@pytest.mark.parametrize(
    "wrong",
    [
        {"suffixes": ["*.example.com"]},
        {"suffixes": [".example.com"]},
        {"suffixes": [""]},
        {"suffixes": ["b\u00fccher.example"]},
        {"networks": ["10.0.0.1/8"]},
        {"networks": ["example.com"]},
        {"ports": [0]},
        {"ports": [65536]},
    ],
)
def test_what_the_operator_says_is_checked(wrong: dict[str, list[str]]) -> None:
    given = {"suffixes": [], "networks": [], "ports": [443], **wrong}
    with pytest.raises(ConfigError) as refused:
        TenantHosts(**given)  # type: ignore[arg-type]  # both kinds at once
    assert refused.value.hint


def test_equal_origins_are_one_and_others_are_not() -> None:
    one = hosts("example.com").origin("https://a.example.com/x")
    assert one == hosts().origin("https://A.example.com:443/x/")
    assert hash(one) == hash(hosts().origin("https://A.example.com:443/x/"))
    others = [
        hosts().origin("https://a.example.com"),
        hosts().origin("https://b.example.com/x"),
        hosts(networks=("10.0.0.0/8",)).origin("https://a.example.com/x"),
        hosts(ports=(8443,)).origin("https://a.example.com:8443/x"),
    ]
    assert one not in others
    assert len({one, *others}) == 5


def test_nothing_that_shows_an_origin_shows_its_host() -> None:
    origin = hosts().origin("https://acme.example.com/secret")
    assert str(origin) == origin.alias == "https://322ad7cdd9ff.tenant"
    assert repr(origin) == f"<Origin {origin.alias}>"
    assert alias_of("acme.example.com", 8443) != origin.alias


def test_how_many_texts_are_remembered_is_bounded_and_no_cycle_is_left() -> None:
    def kept() -> int:
        return sum(type(one) is Origin for one in gc.get_objects())

    made = hosts()
    gc.collect()
    before = kept()
    gc.disable()
    try:
        for number in range(KEPT + 20):
            made.origin(f"https://a{number}.example.com")
        assert kept() - before == KEPT
        del made
        assert kept() == before
    finally:
        gc.enable()


def test_only_an_origin_is_sent_to() -> None:
    outgoing = Outgoing("GET", "/", [])
    assert outgoing.origin is None
    with pytest.raises(TypeError, match="TenantHosts"):
        outgoing.send_to("https://acme.example.com")  # type: ignore[arg-type]
    first, second = ANY.origin("https://a.example.com"), ANY.origin("https://b.example.com")
    outgoing.send_to(first)
    outgoing.send_to(second)
    assert outgoing.origin is second
