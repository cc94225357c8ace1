"""What the functional tests of `cache` share: a file, an upstream's answers, what was done."""

from __future__ import annotations

from tests.functional.conftest import MakeGateway
from tests.functional.kit import Gateway, Reply

PATH = "/api/brain/echo/x"


def made_of(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}"])
    return head.encode() + b"\r\n\r\n" + body


def file_of(url: str, options: str = "{}", *lines: str) -> str:
    own = "".join(f"\n    {line}" for line in lines)
    return (
        f"version: 1\nplugins: [{{cache: {options}}}, metrics]\n"
        f'services:\n  echo:\n    upstream: "{url}"\n    public: true{own}\n'
    )


async def start(gateway: MakeGateway, url: str, options: str = "{}", *lines: str) -> Gateway:
    return await gateway(file_of(url, options, *lines))


def status_of(reply: Reply) -> str:
    """Return what the cache says that it did."""
    return (reply.header("Cache-Status") or "").removeprefix("brain; ")


async def metric(running: Gateway, name: str) -> float:
    text = (await running.admin("/metrics")).body.decode()
    (line,) = [line for line in text.splitlines() if line.startswith(name)]
    return float(line.rpartition(" ")[2])
