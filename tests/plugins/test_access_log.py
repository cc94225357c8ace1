"""One line for an exchange, when it is over, in a real file."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from plugin_kit import Found, Kit, Route, finish, handler_of, request_of, upstream_answer

from plugins.access_log import AccessLog
from plugins.access_log.line import Clock
from plugins.access_log.phases import LONGEST
from proxy import EXCHANGE, Attempt, ConfigError, GatewayError, Principal, printable

ENDED = {"status": 200, "ended": 0.0305, "sent": 95, "received": 7}


def at_noon() -> str:
    return "2026-11-23T12:00:00.000Z"


def attempt(target: str, **reached: Any) -> Attempt:
    made = Attempt(target)
    for name, value in reached.items():
        setattr(made, name, value)
    return made


async def logged(
    kit: Kit, file: Path, options: dict[str, Any] | None = None, **how: Any
) -> tuple[AccessLog, Any]:
    plugin = await kit.run(AccessLog, {"file": str(file), **(options or {})}, clock=at_noon)
    request = request_of(**how)
    await plugin(request, handler_of())
    return plugin, request[EXCHANGE]


async def the_line(plugin: AccessLog, file: Path) -> dict[str, Any]:
    await plugin.close()
    [line] = file.read_text().splitlines()
    fields: dict[str, Any] = json.loads(line)
    return fields


async def test_a_line_says_who_asked_what_and_how_it_went(kit: Kit, tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    plugin, exchange = await logged(kit, file, request_id="id-1")
    exchange.principal = Principal("alice", tenant="acme")
    exchange.attempts = [
        attempt(
            "http://crm-1:8003",
            pool=0.001,
            resolved=0.0015,
            code="upstream_connect_refused",
            note="10.0.0.3: Connection refused",
            again="connect",
            end=0.002,
        ),
        attempt(
            "http://crm-2:8003",
            pool=0.003,
            resolved=0.004,
            connected=0.006,
            secured=0.009,
            sent=0.010,
            head=0.030,
            status=200,
            end=0.0304,
        ),
    ]
    finish(exchange, **ENDED)
    line = await the_line(plugin, file)
    assert line == {
        "time": "2026-11-23T12:00:00.000Z",
        "request_id": "id-1",
        "client": "203.0.113.7",
        "method": "GET",
        "path": "/api/brain/crm/contacts",
        "status": 200,
        "route": "crm/contacts",
        "service": "crm",
        "prefix": "/api/brain/crm",
        "target": "http://crm-2:8003",
        "attempts": 2,
        "reused": False,
        "received": 7,
        "sent": 95,
        "subject": "alice",
        "tenant": "acme",
        "ms": {
            "total": pytest.approx(30.5),
            "chain": pytest.approx(1, abs=0.01),
            "resolve": pytest.approx(1, abs=0.01),
            "connect": pytest.approx(2, abs=0.01),
            "tls": pytest.approx(3, abs=0.01),
            "send": pytest.approx(1, abs=0.01),
            "wait": pytest.approx(20, abs=0.01),
            "body": pytest.approx(0.4, abs=0.01),
        },
        "tries": [
            {
                "target": "http://crm-1:8003",
                "code": "upstream_connect_refused",
                "note": "10.0.0.3: Connection refused",
                "again": "connect",
                "ms": {"total": 2.0, "chain": 1.0, "resolve": 0.5, "connect": 0.5},
            },
            {
                "target": "http://crm-2:8003",
                "status": 200,
                "ms": line["ms"] | {"total": pytest.approx(28.4)},
            },
        ],
    }


async def test_a_plain_line_lists_no_attempts(kit: Kit, tmp_path: Path) -> None:
    plugin, exchange = await logged(kit, tmp_path / "log")
    exchange.attempts = [attempt("t", pool=0.001, sent=0.002, head=0.01, status=200)]
    finish(exchange, **ENDED)
    assert {"tries", "code", "side", "stage"}.isdisjoint(await the_line(plugin, tmp_path / "log"))


async def test_the_phase_in_which_a_try_failed_lasts_until_then(kit: Kit, tmp_path: Path) -> None:
    plugin, exchange = await logged(kit, tmp_path / "log", {"format": "text"})
    exchange.attempts = [
        attempt("https://t", queued=0.001, pool=0.011, resolved=0.012, connected=0.02, again="x y")
    ]
    finish(exchange, status=504, ended=0.03, error=GatewayError("upstream_tls_timeout", log="n"))
    await plugin.close()
    ms = "chain=1.0 {0}pool=10.0 {0}resolve=1.0 {0}connect=8.0 {0}tls=10.0"
    told = (tmp_path / "log").read_text()
    assert "code=upstream_tls_timeout side=upstream stage=tls note=n" in told
    assert "ms.total=30.0 ms." + ms.format("ms.") in told
    assert 'try.1.target=https://t try.1.again="x y" try.1.ms.total=30.0' in told
    assert told.endswith(ms.format("try.1.ms.") + "\n")


async def test_phases_of_a_reused_connection_are_those_it_had(kit: Kit, tmp_path: Path) -> None:
    plugin, exchange = await logged(kit, tmp_path / "log")
    exchange.attempts = [attempt("t", reused=True, pool=0.001, sent=0.002, head=0.01)]
    finish(exchange, **ENDED)
    line = await the_line(plugin, tmp_path / "log")
    assert line["reused"] is True
    assert set(line["ms"]) == {"total", "chain", "send", "wait", "body"}


async def test_a_client_that_left_is_in_it_with_code_and_side(kit: Kit, tmp_path: Path) -> None:
    plugin, exchange = await logged(kit, tmp_path / "log")
    finish(exchange, status=499, ended=0.1, error=GatewayError("client_left"))
    line = await the_line(plugin, tmp_path / "log")
    assert (line["status"], line["code"], line["side"]) == (499, "client_left", "client")
    assert line["attempts"] == 0


async def test_without_a_route_there_is_still_a_line(kit: Kit, tmp_path: Path) -> None:
    plugin, exchange = await logged(kit, tmp_path / "log", route=Route(service=None))
    finish(exchange, status=404, ended=0.1, error=GatewayError("no_route"))
    line = await the_line(plugin, tmp_path / "log")
    assert "service" not in line
    assert line["code"] == "no_route"


async def test_headers_and_query_are_never_in_it_unless_listed(kit: Kit, tmp_path: Path) -> None:
    plugin, exchange = await logged(
        kit, tmp_path / "log", target="/api/brain/crm/x?secret=hidden", headers={"X-Own": "hidden"}
    )
    finish(exchange, answer=upstream_answer(("X-Their", "hidden")), **ENDED)
    await plugin.close()
    assert "hidden" not in (tmp_path / "log").read_text()


async def test_listed_headers_and_query_values_are_in_it(kit: Kit, tmp_path: Path) -> None:
    headers = CIMultiDict([("User-Agent", "curl"), ("Accept", "a"), ("Accept", "b")])
    options = {
        "request_headers": ["user-agent", "Accept", "Absent"],
        "response_headers": ["X-Cache"],
        "query": ["page", "absent"],
    }
    plugin, exchange = await logged(kit, tmp_path / "log", options, headers=headers)
    finish(exchange, answer=upstream_answer(("x-cache", "HIT")), **ENDED)
    line = await the_line(plugin, tmp_path / "log")
    assert line["request_headers"] == {"user-agent": "curl", "Accept": "a, b"}
    assert line["response_headers"] == {"X-Cache": "HIT"}
    assert line["query"] == {"page": "2"}


async def test_a_second_run_of_the_chain_adds_no_second_line(kit: Kit, tmp_path: Path) -> None:
    file = tmp_path / "log"
    for options in ({}, {"query": ["page"]}):
        plugin = await kit.run(AccessLog, {"file": str(file), **options})
        request = request_of()
        await plugin(request, handler_of())
        await plugin(request, handler_of())
        finish(request[EXCHANGE], **ENDED)
        await plugin.close()
    assert len(file.read_text().splitlines()) == 2


async def test_text_lines_are_key_value_pairs(kit: Kit, tmp_path: Path) -> None:
    options = {"format": "text", "request_headers": ["User-Agent"]}
    headers = {"User-Agent": 'a "b"'}
    plugin, exchange = await logged(kit, tmp_path / "log", options, headers=headers)
    exchange.attempts = [attempt("http://crm:8003", reused=True, head=0.02)]
    exchange.path = "/api/brain/crm/two words"
    finish(exchange, **ENDED)
    await plugin.close()
    assert (tmp_path / "log").read_text() == (
        '2026-11-23T12:00:00.000Z 200 GET "/api/brain/crm/two words" client=203.0.113.7 '
        "route=crm/contacts attempts=1 reused=true received=7 sent=95 service=crm "
        "prefix=/api/brain/crm target=http://crm:8003 "
        'request_headers.User-Agent="a \\"b\\"" ms.total=30.5 ms.wait=20.0 ms.body=10.5\n'
    )


@given(st.text())
def test_no_value_holds_what_a_terminal_or_a_parser_obeys(text: str) -> None:
    assert printable(text).isprintable()


@pytest.mark.parametrize("format_name", ["json", "text"])
async def test_a_path_can_not_forge_a_line(kit: Kit, tmp_path: Path, format_name: str) -> None:
    plugin, exchange = await logged(kit, tmp_path / "log", {"format": format_name})
    exchange.path = "/\udcff\u2028\x1b[2J\nforged"
    finish(exchange, **ENDED)
    await plugin.close()
    content = (tmp_path / "log").read_bytes().decode("ascii")
    assert content.count("\n") == 1
    assert "\x1b" not in content


def test_long_values_are_cut() -> None:
    assert len(printable("x" * 10_000, LONGEST)) == 512


def test_the_time_is_rfc_3339_to_the_millisecond() -> None:
    ticks = iter([1_800_000_000.0625, 1_800_000_000.5, 1_800_000_001.9999])
    clock = Clock(now=lambda: next(ticks))
    assert [clock(), clock(), clock()] == [
        "2027-01-15T08:00:00.062Z",
        "2027-01-15T08:00:00.500Z",
        "2027-01-15T08:00:01.999Z",
    ]


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("request_headers", "Authorization"),
        ("request_headers", "X-Api-Key"),
        ("response_headers", "Set-Cookie"),
        ("query", "access_token"),
        ("query", "key"),
    ],
)
def test_names_of_credentials_are_refused(kit: Kit, option: str, name: str) -> None:
    found = Found()
    kit.make(AccessLog, {option: ["X-Fine", name]}).check(found)
    assert list(found.errors) == [f"{option}.1"]


@pytest.mark.parametrize("name", ["User-Agent", "Referer", "X-Cache", "page", "keyword", "monkey"])
def test_other_names_are_not(kit: Kit, name: str) -> None:
    found = Found()
    kit.make(AccessLog, {"request_headers": [name]}).check(found)
    assert not found.errors


async def test_a_file_that_can_not_be_written_refuses_the_load(kit: Kit, tmp_path: Path) -> None:
    for unusable in (tmp_path, tmp_path / "no" / "such" / "folder"):
        with pytest.raises(ConfigError, match="can't be written"):
            await kit.make(AccessLog, {"file": str(unusable)}).setup(kit.context())


async def test_closing_what_was_never_set_up_does_nothing(kit: Kit) -> None:
    await kit.make(AccessLog).close()


async def test_standard_output_is_the_default(kit: Kit, capfd: pytest.CaptureFixture[str]) -> None:
    plugin = await kit.run(AccessLog)
    request = request_of()
    await plugin(request, handler_of())
    finish(request[EXCHANGE], **ENDED)
    await plugin.close()
    assert json.loads(capfd.readouterr().out)["status"] == 200


def test_it_says_what_it_would_do(kit: Kit) -> None:
    plain, listing = kit.make(AccessLog), kit.make(AccessLog, {"query": ["page", "size"]})
    exchange = request_of()[EXCHANGE]
    line = "writes a line to stdout when the exchange is over"
    assert plain.explain(exchange) == [line]
    assert listing.explain(exchange) == [line, "with the query parameters page, size"]
