"""One request through a real gateway to a real upstream."""

from __future__ import annotations

from tests.functional.conftest import MakeGateway
from tests.functional.kit import RecordingUpstream


async def test_a_request_reaches_its_service_and_the_answer_comes_back(
    gateway: MakeGateway, upstream: RecordingUpstream
) -> None:
    running = await gateway(
        f"""
        version: 1
        services:
          echo: {{upstream: "{upstream.url}/base", public: true}}
        """
    )
    reply = await running.get("/api/brain/echo/x?y=%27")
    assert (reply.status, reply.body) == (200, b"ok")
    assert upstream.last.target == "/base/x?y=%27"
