"""`brain doctor` finds what targets do with connections and large heads, and where they differ."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trustme

from proxy.doctoring import asking, examine
from tests.functional.doctorkit import Answers, Doctor, Make, alone, answer, line_of, well
from tests.functional.kit import RawUpstream, Script, Seen

# -- reach


async def test_a_port_that_nobody_listens_on_is_told_and_nothing_else_is_asked(
    service: Make, doctor: Doctor
) -> None:
    one = await service(well)
    await one.close()
    told = await doctor.told(alone(one.url))
    (found,) = told["upstreams"][0]["findings"]
    assert (found["check"], found["severity"]) == ("reach", "problem")
    assert found["summary"] == "nothing listens there"
    assert found["evidence"][0]["came"].startswith("upstream_connect_refused: 127.0.0.1")


async def test_a_name_that_is_not_known_is_told(doctor: Doctor) -> None:
    found = await doctor.one("reach", alone("http://nowhere.invalid"))
    assert (found["severity"], found["summary"]) == ("problem", "its name is not known here")


@pytest.mark.parametrize(
    ("script", "summary"),
    [
        (b"", "it closes the connection without an answer"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "what it sends is not HTTP/1.1"),
        (
            b"HTTP/1.1 200 OK\r\nX-A: %b\r\n\r\n" % (b"a" * 40000),
            "its answer has a larger head than 'limits' lets through",
        ),
    ],
)
async def test_a_first_answer_that_is_none_is_told(
    raw_upstream: Callable[[Script], Awaitable[RawUpstream]],
    doctor: Doctor,
    script: bytes,
    summary: str,
) -> None:
    found = await doctor.one("reach", alone((await raw_upstream(script)).url))
    assert (found["severity"], found["summary"]) == ("problem", summary)


async def test_a_target_that_does_not_answer_is_given_up_by_the_routes_timer(
    raw_upstream: Callable[[Script], Awaitable[RawUpstream]], doctor: Doctor
) -> None:
    async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    one = await raw_upstream(hang)
    text = f"defaults: {{timeouts: {{response: 100ms}}}}\n{alone(one.url)}"
    found = await doctor.one("reach", text)
    assert found["summary"] == "it takes the connection and does not answer"


async def test_an_upstream_that_fails_at_its_root_is_noted(service: Make, doctor: Doctor) -> None:
    one = await service(lambda _seen: answer(503))
    found = await doctor.one("reach", alone(one.url))
    assert (found["severity"], found["summary"]) == (
        "note",
        "reached, and answers 503 for its own root",
    )


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certified(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_an_authority_that_is_not_known_is_to_be_named(
    service: Make, doctor: Doctor, certified: ssl.SSLContext
) -> None:
    one = await service(well, tls=certified)
    found = await doctor.one("reach", alone(one.url))
    assert (found["severity"], found["summary"]) == ("problem", "the TLS handshake fails")
    assert line_of(found) == f'upstream: {{url: "{one.url}", tls: {{ca: FILE}}}}'


async def test_another_name_in_the_certificate_is_to_be_named(
    service: Make, doctor: Doctor, authority: trustme.CA, tmp_path: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("crm.internal").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    one = await service(well, tls=context)
    text = f"""
        version: 1
        services:
          crm:
            upstream: {{url: "{one.url}", tls: {{ca: ca.pem}}}}
            public: true
        """
    found = await doctor.one("reach", text)
    assert found["mend"] == {
        "line": "server_name: NAME",
        "place": "routes.yaml:5",
        "where": "in services.crm.upstream.tls",
    }
    mended = text.replace("ca: ca.pem", "ca: ca.pem, server_name: crm.internal")
    assert (await doctor.one("reach", mended))["severity"] == "fine"


async def test_https_to_a_target_without_tls_is_told(
    raw_upstream: Callable[[Script], Awaitable[RawUpstream]], doctor: Doctor
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer(400))
        await writer.drain()

    one = await raw_upstream(refuse)
    found = await doctor.one("reach", alone(one.url.replace("http:", "https:")))
    assert (found["severity"], found["summary"]) == ("problem", "it speaks no TLS")


async def test_http_to_a_target_with_tls_is_told(
    service: Make, doctor: Doctor, certified: ssl.SSLContext
) -> None:
    one = await service(well, tls=certified)
    found = await doctor.one("reach", alone(one.url.replace("https:", "http:")))
    assert found["severity"] == "problem"
    assert "write https://" in found["advice"]


async def test_a_server_that_says_that_it_wants_tls_is_believed(
    service: Make, doctor: Doctor
) -> None:
    said = "400 The plain HTTP request was sent to HTTPS port"
    one = await service(lambda _seen: answer(400, body=said))
    found = await doctor.one("reach", alone(one.url))
    assert (found["severity"], "speaks TLS" in found["summary"]) == ("problem", True)


# -- idle connections


async def test_connections_that_are_closed_before_the_gateway_would_are_a_problem(
    service: Make, doctor: Doctor
) -> None:
    one = await service(well, idle=2.0)
    found = await doctor.one("keepalive", alone(one.url), idle_wait=5.0)
    assert found["severity"] == "problem"
    assert found["summary"].startswith("closes idle connections after 2.")
    assert found["summary"].endswith("; the gateway keeps them for 4s")
    assert "then left idle: closed after 2." in found["evidence"][0]["came"]
    assert found["mend"] == {
        "line": f'upstream: {{url: "{one.url}", keepalive: 1s}}',
        "place": "routes.yaml:3",
        "where": "instead of this key",
    }


def kept(url: str, keepalive: str) -> str:
    return f"""\
version: 1
services:
  crm:
    upstream:
      url: {url}
      keepalive: {keepalive}
    public: true
"""


async def test_a_time_that_is_below_the_measured_one_is_fine(service: Make, doctor: Doctor) -> None:
    one = await service(well, idle=0.9)
    found = await doctor.one("keepalive", kept(one.url, "300ms"), idle_wait=2.0)
    assert found["severity"] == "fine"
    found = await doctor.one("keepalive", kept(one.url, "800ms"), idle_wait=2.0)
    assert (found["severity"], line_of(found)) == ("problem", "keepalive: 400ms")
    assert (found["mend"]["place"], found["mend"]["where"]) == (
        "routes.yaml:6",
        "instead of this key",
    )


async def test_what_a_target_announces_counts_where_it_does_not_close(
    service: Make, doctor: Doctor
) -> None:
    one = await service(lambda _seen: answer(200, "Keep-Alive: timeout=3, max=100"))
    found = await doctor.one("keepalive", alone(one.url))
    assert (found["severity"], "keepalive: 2s" in line_of(found)) == ("problem", True)
    assert "Keep-Alive: timeout=3" in found["evidence"][0]["came"]


async def test_a_wait_that_was_too_short_is_said_to_be(service: Make, doctor: Doctor) -> None:
    found = await doctor.one("keepalive", alone((await service(well)).url))
    assert (found["severity"], "--idle-wait 5s" in found["advice"]) == ("note", True)


async def test_a_gateway_that_keeps_no_connection_is_fine(service: Make, doctor: Doctor) -> None:
    one = await service(well, idle=0.1)
    assert (await doctor.one("keepalive", kept(one.url, "0s")))["severity"] == "fine"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (answer(200, "Connection: close"), "'Connection: close'"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.0"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok", "'Connection: close'"),
    ],
)
async def test_a_target_that_keeps_no_connection_is_noted(
    service: Make, doctor: Doctor, raw: bytes, why: str
) -> None:
    found = await doctor.one("keepalive", alone((await service(lambda _seen: raw)).url))
    assert (found["severity"], why in found["summary"]) == ("note", True)


async def test_two_upstreams_of_one_target_wait_once(service: Make, doctor: Doctor) -> None:
    one = await service(well)
    text = f"""
        version: 1
        services:
          a: {{upstream: "{one.url}/a", public: true}}
          b: {{upstream: "{one.url}/b", public: true}}
        """
    started = time.monotonic()
    await doctor.told(text, idle_wait=1.5)
    assert time.monotonic() - started < 2.9


# -- large heads


def takes(field: int = 1 << 20, line: int = 1 << 20, count: int = 1000) -> Answers:
    """A server with bounds of its own."""

    def answers(seen: Seen) -> bytes:
        if len(seen.line) > line:
            return answer(414, "Connection: close")
        too_large = any(len(name) + len(value) > field for name, value in seen.fields)
        too_many = len(seen.fields) > count
        return answer(431, "Connection: close") if too_large or too_many else answer()

    return answers


@pytest.mark.parametrize(
    ("bounds", "mend"),
    [
        ({"field": 8190}, "limits: {header_field: 7KiB}"),
        ({"line": 4094}, "limits: {request_line: 3584B}"),
        ({"count": 64}, "limits: {header_count: 43}"),
    ],
)
async def test_a_bound_below_the_gateways_is_noted_with_what_is_taken(
    service: Make, doctor: Doctor, bounds: dict[str, int], mend: str
) -> None:
    text = f'gateway: {{listen: ":8080"}}\n{alone((await service(takes(**bounds))).url)}'
    found = await doctor.one("bounds", text)
    assert found["severity"] == "note"
    assert found["mend"] == {"line": mend, "place": "routes.yaml:1", "where": "in gateway"}


async def test_a_head_that_is_answered_by_a_closed_connection_is_a_problem(
    service: Make, doctor: Doctor
) -> None:
    def answers(seen: Seen) -> bytes:
        return b"" if len(seen.raw_head) > 20000 else answer()

    found = await doctor.one("bounds", alone((await service(answers)).url))
    assert (found["severity"], "with a closed connection" in found["summary"]) == ("problem", True)
    assert found["evidence"][0]["came"] == "upstream_reset_before_headers"
    assert line_of(found) == "gateway: {limits: {header_total: 14KiB}}"


async def test_a_service_that_refuses_the_parameter_itself_is_unclear(
    service: Make, doctor: Doctor
) -> None:
    one = await service(lambda seen: answer(400 if "brain-doctor=" in seen.target else 200))
    found = await doctor.one("bounds", alone(one.url))
    assert (found["severity"], "and to smaller ones" in found["summary"]) == ("note", True)
    assert found["mend"] is None


async def test_a_service_that_counts_its_callers_is_not_taken_for_one_with_bounds(
    service: Make, doctor: Doctor
) -> None:
    one = await service(lambda seen: answer(429 if len(seen.raw_head) > 2000 else 200))
    assert (await doctor.one("bounds", alone(one.url)))["severity"] == "fine"


# -- several targets


def several(*urls: str) -> str:
    return f"""\
version: 1
services:
  crm:
    upstream: {{targets: [{", ".join(urls)}]}}
    public: true
"""


async def test_targets_that_agree_are_told_once(service: Make, doctor: Doctor) -> None:
    urls = [(await service(well)).url for _ in range(3)]
    told = await doctor.told(several(*urls))
    (upstream,) = told["upstreams"]
    assert [target["url"] for target in upstream["targets"]] == urls
    assert {tuple(one["targets"]) for one in upstream["findings"]} == {tuple(urls)}
    assert not [one for one in upstream["findings"] if one["check"] == "targets"]


async def test_targets_that_differ_are_a_finding(service: Make, doctor: Doctor) -> None:
    first, second = await service(well), await service(well, idle=1.0)
    text = several(first.url, second.url)
    found = await doctor.one("targets", text, idle_wait=1.6)
    assert (found["severity"], found["summary"]) == ("problem", "targets differ in keepalive")
    assert f"{second.url} closes idle connections after 1." in found["advice"]
    assert f"{first.url} still open after 1.6s" in found["advice"]


async def test_a_target_that_is_away_is_told_beside_the_others(
    service: Make, doctor: Doctor
) -> None:
    first, second = await service(well), await service(well)
    await second.close()
    text = several(first.url, second.url)
    told = await doctor.told(text, idle_wait=4.5)
    problems = [one for one in told["upstreams"][0]["findings"] if one["severity"] == "problem"]
    assert [(one["check"], one["targets"]) for one in problems] == [("reach", [second.url])]


# -- bounds of its own


async def test_a_slow_target_is_asked_for_a_bounded_time(
    service: Make, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examine, "LONGEST", 0.1)

    def slow(_seen: Seen) -> bytes:
        time.sleep(0.03)
        return answer()

    notes = await doctor.of("reach", alone((await service(slow)).url))
    assert "it answers slowly" in notes[-1]["summary"]


async def test_a_target_is_asked_so_often_and_no_more(
    service: Make, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "MOST_REQUESTS", 3)
    one = await service(well)
    found = await doctor.one("keepalive", alone(one.url))
    assert (found["severity"], "enough was asked" in found["summary"]) == ("note", True)
    assert len(one.seen) == 3


async def test_a_body_without_end_is_left(service: Make, doctor: Doctor) -> None:
    def endless(_seen: Seen) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 200_000

    told = await doctor.told(alone((await service(endless)).url))
    assert told["problems"] == 0


async def test_a_target_that_stops_answering_in_the_middle_is_told_of(
    service: Make, doctor: Doctor
) -> None:
    asked: list[str] = []

    def dies(seen: Seen) -> bytes:
        asked.append(seen.target)
        return b"" if "probe" in seen.target else answer()

    (found,) = await doctor.of("spelling", alone((await service(dies)).url))
    assert found["severity"] == "note"
    assert "upstream_reset_before_headers in the middle" in found["summary"]


async def test_what_a_target_says_can_not_reach_the_terminal(service: Make, doctor: Doctor) -> None:
    url = "https://a\x1b[31m.example/?token=0123456789abcdef0123456789abcdef"
    told = await doctor.told(alone((await service(lambda _s: answer(302, f"Location: {url}"))).url))
    assert "\x1b" not in str(told)
    assert "0123456789abcdef" not in str(told)
