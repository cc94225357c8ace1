"""What a frontend reads of a running gateway is what its TypeScript module says (RFC 9457)."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from proxy.cli.error_module import module
from proxy.cli.errors import exchange_rows
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RecordingUpstream

KINDS = {
    "string": (str,),
    "number": (int,),
    "boolean": (bool,),
    "string | null": (str, type(None)),
    "ErrorCode | (string & {})": (str,),
    "`urn:brain-gateway:error:${string}`": (str,),
}
"""What a type of the module is in Python's JSON."""


def interface() -> dict[str, tuple[type, ...]]:
    """Return the keys of the interface `Problem` with what they may be."""
    text = module(exchange_rows())
    (found,) = re.findall(r"^export interface Problem \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)
    keys: list[tuple[str, str]] = re.findall(r"^  readonly (\w+): (.*);$", found, re.MULTILINE)
    return {key: KINDS[kind] for key, kind in keys}


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /api/brain/gone/x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /api/brain/refusing/x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"NONSENSE\r\n\r\n",
    ],
)
async def test_the_body_of_an_error_has_exactly_the_keys_of_the_interface(
    gateway: MakeGateway, upstream: RecordingUpstream, raw: bytes
) -> None:
    running = await gateway(
        f"""
        version: 1
        plugins: [request-id]
        services:
          gone: {{upstream: "http://127.0.0.1:1", public: true}}
          refusing:
            upstream: "{upstream.url}"
            public: true
            plugins: [{{use: "tests.functional.probe:refuse"}}]
        """
    )
    reply = await running.ask(raw)
    body: dict[str, Any] = json.loads(reply.body)
    expected = interface()
    assert list(body) == list(expected)
    for key, kinds in expected.items():
        assert type(body[key]) in kinds, key
    assert body["status"] == reply.status
    assert body["request_id"] == reply.header("X-Request-Id")
