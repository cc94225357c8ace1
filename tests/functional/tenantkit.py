"""Hosts of tenants: servers on loopback with certificates, and names that a test gives addresses."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from typing import Any

import trustme

from proxy.plugin.hosts import alias_of
from tests.functional.kit import Gateway, RecordingUpstream, Reply
from tests.functional.plugins_for_tests import HERE

ACME = "acme.shops.example"
BETA = "beta.shops.example"
PATH = "/api/brain/shop"
REAL = socket.getaddrinfo


class TenantNames:
    """Stands in for the system's resolver: names below `shops.example` mean what a test says.

    Each look-up takes the next answer of a name, and the last one stays. None is a failure.
    """

    def __init__(self) -> None:
        self.answers: dict[str, list[list[str]]] = {
            ACME: [["127.0.0.1"]],
            BETA: [["127.0.0.1"]],
        }
        self.asked: list[str] = []
        self.hanging: threading.Event | None = None

    def getaddrinfo(self, host: Any, port: Any, *more: Any, **kind: Any) -> list[Any]:
        if not str(host).endswith("shops.example"):
            return REAL(host, port, *more, **kind)
        self.asked.append(host)
        if self.hanging is not None:
            self.hanging.wait(5)
        answers = self.answers[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if not found:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [_row(address, port) for address in found]


def _row(address: str, port: int) -> tuple[Any, ...]:
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)


class TenantServer(RecordingUpstream):
    """A recording upstream with a certificate; `named` are the hosts that its clients asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.named: list[str | None] = []

    async def serve(self, certificate: trustme.LeafCert) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        context.sni_callback = lambda _socket, name, _context: self.named.append(name)
        await self.start(context)

    def base(self, path: str = "", host: str = ACME) -> str:
        """Return the header that sends a request here."""
        return f"X-Base: https://{host}:{self.port}{path}"

    def alias(self, host: str = ACME) -> str:
        return alias_of(host, self.port)


def answer(status: str = "200 OK", *fields: str, body: bytes = b"ok") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def shop(
    server: TenantServer,
    ca: object,
    *,
    networks: str = "127.0.0.0/8",
    url: str = "https://shop.invalid/v1",
    upstream: str = "",
    tls: str = "",
    more: str = "",
    above: str = "",
    stage: str = "CREDENTIALS",
) -> str:
    """Return a file whose service sends its requests to tenants' hosts."""
    rules = f"networks: [{networks}], ports: [443, {server.port}], suffixes: [shops.example]"
    return (
        f"version: 1\nplugins: [metrics{above}]\nservices:\n  shop:\n    public: true\n"
        f'    upstream: {{url: "{url}", tls: {{ca: "{ca}"{tls}}}{upstream}}}\n'
        f'    plugins: [{{use: "{HERE}:Tenant", as: tenant, with: {{{rules}, stage: {stage}}}}}]\n'
        f"{more}"
    )


def code(reply: Reply) -> str:
    found = json.loads(reply.body)["code"]
    assert isinstance(found, str)
    return found


def hides(reply: Reply) -> bool:
    """Tell whether an answer has neither a tenant's host in it nor where it is."""
    said = reply.raw_head.decode("latin-1") + reply.body.decode("latin-1")
    return not any(word in said for word in ("shops.example", ".tenant", "127.0.0."))


def pools(running: Gateway) -> list[Any]:
    """Return the pools of tenants' hosts of the only upstream."""
    (upstream,) = running.host.gateway.snapshot.upstreams.values()
    return list(upstream.origins or ())
