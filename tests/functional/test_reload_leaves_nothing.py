"""What a reload replaces ends by itself: it was frozen, so that no collection ever looks at it."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import weakref
from pathlib import Path
from typing import Any

from tests.functional.conftest import MakeGateway
from tests.functional.kit import RecordingUpstream
from tests.plugins.tokens import ISSUER, pem, rsa

KEY = "k" * 32
PATH = "/api/brain/app/x"


def text(upstream: RecordingUpstream, folder: Path, number: int) -> str:
    return f"""
        version: 1
        secrets: {{env: {{prefix: TEST_}}}}
        plugins:
          - request-id
          - access-log
          - metrics
          - tracing
          - cors: {{origins: ["https://app{number}.example.com"]}}
          - ip-filter: {{allow: [127.0.0.1, 10.0.0.{number}]}}
          - jwt: {{issuer: "{ISSUER}", audience: [brain, b{number}], key_file: "{folder}/pem"}}
          - api-key: {{keys: [{{name: k{number}, sha256: {hashlib.sha256(KEY.encode()).hexdigest()}}}]}}
          - forward-auth: {{profile: authentik, url: "http://127.0.0.1:1/{number}"}}
          - ticket: {{key: {{secret: ticket, field: key}}}}
          - authorize: {{allow: [{{methods: [GET]}}]}}
          - rate-limit: {{key: principal, limits: {100 + number}/s}}
          - identity-headers
          - compress
          - cache
          - headers: {{response: {{set: {{X-Number: "{number}"}}}}}}
        services:
          app: "{upstream.url}"
          hook:
            upstream: "{upstream.url}"
            plugins: [{{webhook: {{provider: github, secrets: [{{secret: ticket, field: key}}]}}}}]
        """


async def test_of_what_a_reload_replaces_nothing_is_left(
    gateway: MakeGateway, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    (tmp_path / "pem").write_text(pem(rsa()))
    running = await gateway(text(upstream, tmp_path, 1), TEST_TICKET_KEY=KEY)
    left: dict[str, weakref.ref[Any]] = {}
    gc.disable()
    try:
        for number in (2, 3):
            assert (await running.get(PATH, f"X-Api-Key: {KEY}")).status == 200
            snapshot = running.host.gateway.snapshot
            left[f"snapshot {number}"] = weakref.ref(snapshot)
            for held in snapshot.instances.held:
                left[f"{held.identity} {number}"] = weakref.ref(held.plugin)
            del snapshot, held
            running.path.write_text(text(upstream, tmp_path, number))
            assert await running.reload() is None
        # A connection to the upstream knows its last request, until it has another one.
        assert (await running.get(PATH, f"X-Api-Key: {KEY}")).status == 200
        await asyncio.sleep(0.2)
        assert [name for name, reference in left.items() if reference() is not None] == []
    finally:
        gc.enable()
