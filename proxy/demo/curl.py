"""Lines to paste into a shell beside the demo: each shows one thing not to be spoilt on the way."""

import shlex
from urllib.parse import urljoin

from proxy.demo.issuer import ROLES, TENANTS

# From RFC 6455, section 1.3: any 16 bytes serve, these are everyone's example.
_HANDSHAKE = (
    "-H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' "
    "-H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' -H 'Sec-WebSocket-Protocol: chat.v1'"
)
_NO_BODY = "-o /dev/null"
_MEASURE = r"%{http_code} %{content_type} %{size_download} bytes\n"


def curl_lines(base: str, key: str, issuer: str) -> list[tuple[str, str]]:
    """What each line shows, and the line: one POSIX shell command that ends by itself within 3 s.

    `base` is the gateway's public address without a path, `key` an API key that it lets in, `issuer`
    the stand-in identity provider. No line reads a file, so the folder that it is pasted in does not
    matter.
    """
    api, sent = f"{base}/api/brain", f"-H {shlex.quote(f'X-Api-Key: {key}')}"
    return [
        *_doors(base, api),
        *_callers(base, api, urljoin(issuer, "/tokens")),
        *_credentials(api, sent, urljoin(issuer, "/tokens")),
        *_records(api, sent),
        *_media(api, sent),
        *_graphql(base, api, sent),
        *_crews(api, sent),
        *_strangler(base, sent),
    ]


def _line(url: str, *options: str, say: str = r"\n") -> str:
    # `say` comes after the body; a newline for the prompt, since few services end JSON with one.
    return " ".join(["curl -sS", *options, shlex.quote(url), "-w", shlex.quote(say)])


def _doors(base: str, api: str) -> list[tuple[str, str]]:
    return [
        ("The gateway lives", _line(f"{base}/health")),
        ("Without a key: 401 and a problem body", _line(f"{api}/lago/invoices", "-i")),
        ("Published pages need no key", _line(f"{api}/wagtail/pages/?limit=2")),
        ("Metrics, to private addresses only", f"curl -s {shlex.quote(base + '/metrics')} | head"),
    ]


def _callers(base: str, api: str, tokens: str) -> list[tuple[str, str]]:
    admin, client = _bearer(f"{tokens}/acme/admin"), _bearer(f"{tokens}/globex/client")
    ask = f"""{client} -d '{{"path": "/api/brain/agents/chat/events"}}'"""
    ticket = f"TICKET=$({_line(f'{api}/_ticket', ask, say='')} | grep -oE 'eyJ[[:alnum:]_.-]+')"
    return [
        ("A token of an admin of acme", _line(f"{api}/lago/invoices", admin)),
        ("What an upstream is told of a client of globex", _line(f"{base}/api/reports", client)),
        ("What the client may not do: 403", _line(f"{api}/tasks", client, "-i -X DELETE")),
        (
            "A ticket for what can't send a header, such as an EventSource",
            f'{ticket}; curl -sS -N "{api}/agents/chat/events?ticket=$TICKET"',
        ),
    ]


def _credentials(api: str, sent: str, tokens: str) -> list[tuple[str, str]]:
    account = f"{api}/django-crm/account/"
    stolen = "-H 'Authorization: Token crm-key-of-globex'"
    return [
        *(
            (
                f"{tenant}'s own credential arrives at the CRM",
                _line(account, _bearer(f"{tokens}/{tenant}/client")),
            )
            for tenant in TENANTS
        ),
        ("The client's own Authorization does not", _line(account, sent, stolen)),
    ]


def _bearer(token: str) -> str:
    return f'-H "Authorization: Bearer $(curl -sS {shlex.quote(token)})"'


def token_lines(issuer: str) -> list[str]:
    """A line for each token that the stand-in identity provider has."""
    names = [f"/tokens/{tenant}/{role}" for tenant in TENANTS for role in ROLES]
    return [f"curl -sS {urljoin(issuer, name)}" for name in names]


def _records(api: str, sent: str) -> list[tuple[str, str]]:
    contacts = f"{api}/django-crm/contacts/"
    new = """-H 'Content-Type: application/json' -d '{"name": "Bo", "email": "bo@example.com"}'"""
    change = """-X PATCH -H 'Content-Type: application/json' -d '{"company": "Engines"}'"""
    cookies = _line(f"{api}/crm/auth/me/", sent, "-b -")
    login = _line(f"{api}/crm/auth/login/", sent, "-X POST -c -", _NO_BODY, say="")
    moved = _line(f"{api}/crm/contacts", sent, _NO_BODY, say=r"%{http_code} %{redirect_url}\n")
    return [
        ("JSON from the CRM", _line(contacts, sent)),
        ("A new contact: 201 and its Location", _line(contacts, sent, "-i", new)),
        ("PATCH passes", _line(f"{contacts}1/", sent, change)),
        ("HEAD keeps its Content-Length", _line(contacts, sent, "-I")),
        (
            "Indented JSON stays indented, here by the alias",
            _line(f"{api}/crm/contacts/", sent, "-H 'Accept: application/json; indent=4'"),
        ),
        ("A redirect stays at the gateway", moved),
        ("Two cookies, each below the prefix it came by", login),
        ("They find their way back", f"{login} | {cookies}"),
        ("Billing", _line(f"{api}/lago/invoices", sent)),
    ]


def _media(api: str, sent: str) -> list[tuple[str, str]]:
    wagtail = f"{api}/wagtail"
    form = "-F 'title=Note' -F 'file=@-;filename=note.txt;type=text/plain'"
    return [
        (
            "gzip stays gzip: bytes on the wire",
            _line(f"{wagtail}/pages/", "--compressed", _NO_BODY, say=_MEASURE),
        ),
        ("An image", _line(f"{wagtail}/images/1/file.png", sent, _NO_BODY, say=_MEASURE)),
        (
            "16 bytes of a download",
            _line(f"{wagtail}/documents/1/download/", sent, "-r 0-15 -D -", _NO_BODY),
        ),
        (
            "A multipart upload: its size and SHA-256 as they arrived",
            f"printf 'hello, media' | {_line(f'{wagtail}/documents/', sent, form)}",
        ),
    ]


def _graphql(base: str, api: str, sent: str) -> list[tuple[str, str]]:
    shop = """-H 'Content-Type: application/json' -d '{"query": "{ shop { name } }"}'"""
    products = shop.replace("shop { name }", "products(first: 2) { edges { node { name } } }")
    return [
        ("GraphQL at the short address", _line(f"{base}/graphql", sent, shop)),
        ("GraphQL at the service", _line(f"{api}/saleor/graphql/", sent, products)),
    ]


def _crews(api: str, sent: str) -> list[tuple[str, str]]:
    agents = f"{api}/agents"
    work = """-i -H 'Content-Type: application/json' -d '{"inputs": {"topic": "tea"}}'"""
    # `head` ends the line with success once it saw the answer; curl alone would wait for frames.
    chat = _line(f"{agents}/chat/ws/one", sent, f"-i -N --max-time 2 {_HANDSHAKE}")
    refused = _line(f"{agents}/chat/ws/forbidden", sent, f"-i --max-time 2 {_HANDSHAKE}")
    return [
        ("Work for a crew: 202 and where to ask", _line(f"{agents}/kickoff", sent, work)),
        ("Its tasks", _line(f"{api}/tasks", sent)),
        ("Five events, 200 ms apart, as they happen", _line(f"{agents}/chat/events", sent, "-N")),
        ("A WebSocket opens: 101", f"{chat} 2>/dev/null | head -n 4"),
        ("A WebSocket that the service refuses: its own 403", refused),
    ]


def _strangler(base: str, sent: str) -> list[tuple[str, str]]:
    url = f"{base}/api/reports?month=2024-05&raw=%27"
    return [("What no route takes: the old gateway tells what it saw", _line(url, sent))]
