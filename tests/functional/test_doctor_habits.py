"""`brain doctor` finds what services do with hosts, redirects, paths and CORS; and what they do not."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from tests.functional.doctorkit import Answers, Doctor, Make, alone, answer, line_of, well
from tests.functional.kit import Seen


async def test_a_service_without_bad_habits_has_nothing_to_mend(
    service: Make, doctor: Doctor
) -> None:
    told = await doctor.told(alone((await service(well)).url), idle_wait=4.5)
    (upstream,) = told["upstreams"]
    assert (told["problems"], told["notes"]) == (0, 0)
    assert {one["severity"] for one in upstream["findings"]} == {"fine"}
    checks = " ".join(one["check"] for one in upstream["findings"])
    assert checks == "reach host https keepalive bounds slash spelling spelling cors"


# -- how it asks


async def test_it_is_gentle(service: Make, doctor: Doctor) -> None:
    one = await service(lambda seen: answer(404 if "probe" in seen.target else 400))
    told = await doctor.told(alone(one.url), public_host="app.example.com")
    assert {seen.method for seen in one.seen} == {"GET"}
    assert {seen.header("User-Agent") for seen in one.seen} == {"brain-doctor"}
    assert len(one.seen) == told["upstreams"][0]["targets"][0]["requests"] <= 60
    assert one.together == 1


async def test_two_upstreams_of_one_target_take_turns(service: Make, doctor: Doctor) -> None:
    one = await service(well)
    told = await doctor.told(
        f"""
        version: 1
        services:
          a: {{upstream: "{one.url}/a", public: true}}
          b: {{upstream: "{one.url}/b", public: true}}
        """
    )
    assert [len(each["findings"]) > 5 for each in told["upstreams"]] == [True, True]
    assert one.together == 1


async def test_it_asks_as_the_gateway_would(service: Make, doctor: Doctor) -> None:
    one = await service(well)
    await doctor.told(
        f"""
        version: 1
        services:
          crm: {{upstream: "{one.url}/base", public: true, host: crm.example.com}}
        """,
        public_host="app.example.com",
    )
    first = one.seen[0]
    assert first.line == "GET /base HTTP/1.1"
    assert first.all("Host") == ["crm.example.com"]
    assert first.all("X-Forwarded-Host") == ["app.example.com"]
    assert first.all("X-Forwarded-Proto") == ["https"]
    assert first.all("X-Forwarded-Prefix") == ["/api/brain/crm"]


# -- Host


def allows(*hosts: str) -> Answers:
    """Django's ALLOWED_HOSTS, ports left aside as there."""

    def answers(seen: Seen) -> bytes:
        host = (seen.header("Host") or "").rpartition(":")[0] or seen.header("Host")
        return answer(200 if host in hosts else 400)

    return answers


async def test_a_host_that_is_refused_is_mended_by_one_that_is_taken(
    service: Make, doctor: Doctor
) -> None:
    one = await service(allows("localhost"))
    told = await doctor.told(alone(one.url))
    (found,) = (each for each in told["upstreams"][0]["findings"] if each["check"] == "host")
    assert found["severity"] == "problem"
    assert f"400 to 'Host: 127.0.0.1:{one.port}', and 200 to 'Host: localhost'" in found["summary"]
    assert found["mend"] == {
        "line": "host: localhost",
        "place": "routes.yaml:3",
        "where": "in services.crm",
    }
    assert "ALLOWED_HOSTS" in found["advice"]
    # With it, the rest is looked at too.
    (bounds,) = (each for each in told["upstreams"][0]["findings"] if each["check"] == "bounds")
    assert bounds["severity"] == "fine"


async def test_the_public_host_is_tried_first(service: Make, doctor: Doctor) -> None:
    one = await service(allows("localhost", "app.example.com"))
    found = await doctor.one("host", alone(one.url), public_host="app.example.com")
    assert line_of(found) == "host: app.example.com"


async def test_a_forwarded_host_that_is_refused_is_found(service: Make, doctor: Doctor) -> None:
    one = await service(lambda seen: answer(400 if seen.header("X-Forwarded-Host") else 200))
    found = await doctor.one("host", alone(one.url), public_host="app.example.com")
    assert found["severity"] == "problem"
    assert "'X-Forwarded-Host: app.example.com', and 200 without" in found["summary"]


@pytest.mark.parametrize("status", [400, 404])
async def test_a_service_that_says_the_same_to_every_host_is_fine(
    service: Make, doctor: Doctor, status: int
) -> None:
    one = await service(lambda _seen: answer(status))
    assert (await doctor.one("host", alone(one.url)))["severity"] == "fine"


async def test_a_preserved_host_has_to_be_told(service: Make, doctor: Doctor) -> None:
    one = await service(allows("app.example.com"))
    text = f"""
        version: 1
        services:
          crm: {{upstream: "{one.url}", public: true, host: preserve}}
        """
    *_, found = await doctor.of("host", text)
    assert (found["severity"], "--public-host" in found["advice"]) == ("note", True)
    found = await doctor.one("host", text, public_host="app.example.com")
    assert found["severity"] == "fine"


# -- https


def to_https(seen: Seen) -> bytes:
    host = (seen.header("Host") or "").partition(":")[0]
    return answer(301, f"Location: https://{host}{seen.target}")


async def test_a_redirect_to_https_that_believes_nothing_is_a_loop(
    service: Make, doctor: Doctor
) -> None:
    found = await doctor.one("https", alone((await service(to_https)).url))
    assert found["severity"] == "problem"
    assert "round in circles" in found["summary"]
    assert found["evidence"][0]["came"].startswith("301 to https://127.0.0.1/ in ")
    assert "SECURE_PROXY_SSL_HEADER" in found["advice"]


def believes(seen: Seen) -> bytes:
    return answer() if seen.header("X-Forwarded-Proto") == "https" else to_https(seen)


async def test_a_file_that_never_says_https_makes_one_that_believes_go_round(
    service: Make, doctor: Doctor
) -> None:
    found = await doctor.one("https", alone((await service(believes)).url))
    assert found["severity"] == "problem"
    assert line_of(found) == 'gateway: {trusted_proxies: ["ADDRESS OF THE EDGE"]}'


async def test_one_that_believes_is_fine_behind_a_trusted_proxy(
    service: Make, doctor: Doctor
) -> None:
    text = f'gateway: {{trusted_proxies: ["10.0.0.1"]}}\n{alone((await service(believes)).url)}'
    assert (await doctor.one("https", text))["severity"] == "fine"


async def test_an_absolute_redirect_to_another_path_is_no_loop(
    service: Make, doctor: Doctor
) -> None:
    def to_login(seen: Seen) -> bytes:
        scheme = seen.header("X-Forwarded-Proto") or "http"
        return answer(302, f"Location: {scheme}://{seen.header('Host')}/login/")

    assert (await doctor.one("https", alone((await service(to_login)).url)))["severity"] == "fine"


async def test_a_redirect_to_another_host_is_noted(service: Make, doctor: Doctor) -> None:
    one = await service(lambda _seen: answer(301, "Location: https://www.example.com/"))
    found = await doctor.one("https", alone(one.url))
    assert (found["severity"], "host: www.example.com" in found["advice"]) == ("note", True)


# -- slashes


def appends_slash(seen: Seen) -> bytes:
    path = seen.target.partition("?")[0]
    if path in ("/api/items", "/api"):
        return answer(301, f"Location: {path}/")
    return answer()


def exact(url: str, more: str = "") -> str:
    return f"""\
version: 1
services:
  crm:
    upstream: {url}/api
    public: true
    routes:
      - match: {{method: POST, path: /items}}{more}
"""


async def test_a_route_that_loses_its_bodies_is_mended_by_a_rewrite(
    service: Make, doctor: Doctor
) -> None:
    one = await service(appends_slash)
    first, second = await doctor.of("slash", exact(one.url))
    assert first["severity"] == "problem"
    assert "/api/items to /api/items/ with 301" in first["summary"]
    assert first["mend"] == {
        "line": "rewrite: /items/",
        "place": "routes.yaml:7",
        "where": "in services.crm.routes[0]",
    }
    assert (second["severity"], second["mend"]) == ("note", None)
    assert {seen.method for seen in one.seen} == {"GET"}


async def test_a_route_that_sends_the_slash_is_fine(service: Make, doctor: Doctor) -> None:
    text = exact((await service(appends_slash)).url, "\n        rewrite: /items/")
    first, _ = await doctor.of("slash", text)
    assert (first["severity"], "sends the slash" in first["summary"]) == ("fine", True)


async def test_a_path_that_is_named_is_asked_without_its_slash(
    service: Make, doctor: Doctor
) -> None:
    one = await service(
        lambda seen: answer(308, "Location: /x/y/") if seen.target == "/x/y" else answer()
    )
    found = await doctor.one("slash", alone(one.url), paths=("/x/y/",))
    assert (found["severity"], "with 308" in found["summary"]) == ("note", True)


async def test_a_post_is_sent_only_where_that_is_allowed(service: Make, doctor: Doctor) -> None:
    one = await service(lambda seen: appends_slash(seen) if seen.method == "GET" else answer())
    first, *_ = await doctor.of("slash", exact(one.url), unsafe=True)
    assert (first["severity"], "but not a POST" in first["summary"]) == ("fine", True)
    posts = [seen for seen in one.seen if seen.method == "POST"]
    assert {(seen.target, seen.body) for seen in posts} == {("/api/items", b"{}"), ("/api", b"{}")}


async def test_django_in_debug_fails_a_post_without_the_slash(
    service: Make, doctor: Doctor
) -> None:
    one = await service(lambda seen: appends_slash(seen) if seen.method == "GET" else answer(500))
    first, *_ = await doctor.of("slash", exact(one.url), unsafe=True)
    assert first["severity"] == "problem"
    assert first["evidence"][1]["sent"].startswith("POST /api/items ")
    assert first["evidence"][1]["came"].startswith("500 ")


# -- %2F and a bare "?"

OPEN = """\
version: 1
services:
  crm:
    upstream: {url}
    public: true
    allow_encoded_slash: true
"""


async def test_a_service_that_repeats_the_target_shows_that_it_came_as_sent(
    service: Make, doctor: Doctor
) -> None:
    one = await service(lambda seen: answer(body=f'{{"path": "{seen.target}"}}'))
    slash, query = await doctor.of("spelling", OPEN.format(url=one.url))
    assert (slash["severity"], slash["summary"]) == (
        "fine",
        "%2F in a path reaches it as it was sent",
    )
    assert (query["severity"], query["summary"]) == ("fine", "a bare '?' reaches it as it was sent")


def decodes(seen: Seen) -> bytes:
    return answer(404, body=f"no {unquote(seen.target.partition('?')[0])} here")


async def test_a_decoded_slash_on_a_route_that_lets_it_through_is_a_problem(
    service: Make, doctor: Doctor
) -> None:
    one = await service(decodes)
    slash, query = await doctor.of("spelling", OPEN.format(url=one.url))
    assert (slash["severity"], "another path" in slash["summary"]) == ("problem", True)
    assert slash["mend"] == {
        "line": "allow_encoded_slash: false",
        "place": "routes.yaml:6",
        "where": "instead of this key",
    }
    assert (query["severity"], "can't be known" in query["summary"]) == ("fine", True)


async def test_a_decoded_slash_that_no_route_lets_through_is_fine(
    service: Make, doctor: Doctor
) -> None:
    slash, _ = await doctor.of("spelling", alone((await service(decodes)).url))
    assert slash["severity"] == "fine"
    assert slash["summary"] == "reads %2F in a path as a slash; no route lets it through"


async def test_what_answers_do_not_show_is_said_not_to_be_known(
    service: Make, doctor: Doctor
) -> None:
    one = await service(lambda _seen: answer(404))
    slash, query = await doctor.of("spelling", OPEN.format(url=one.url))
    assert (slash["severity"], "can't be known" in slash["summary"]) == ("note", True)
    assert (query["severity"], "can't be known" in query["summary"]) == ("fine", True)


async def test_a_service_that_refuses_an_encoded_slash_is_noted(
    service: Make, doctor: Doctor
) -> None:
    one = await service(lambda seen: answer(400 if "%2F" in seen.target else 404))
    slash, _ = await doctor.of("spelling", OPEN.format(url=one.url))
    assert (slash["severity"], "400 and 404" in slash["summary"]) == ("note", True)


# -- CORS

WITH_CORS = """\
version: 1
plugins: [{{cors: {{origins: ["https://*.example.com", "https://app.example.com"]}}}}]
services:
  crm: {{upstream: "{url}", public: true}}
"""


def reflects(seen: Seen) -> bytes:
    return answer(
        200,
        f"Access-Control-Allow-Origin: {seen.header('Origin') or 'none'}",
        "Access-Control-Allow-Credentials: true",
    )


async def test_cors_of_both_is_noted_with_who_has_the_word(service: Make, doctor: Doctor) -> None:
    one = await service(reflects)
    found = await doctor.one("cors", WITH_CORS.format(url=one.url))
    assert (found["severity"], "the 'cors' plugin" in found["summary"]) == ("note", True)
    assert "https://app.example.com" in [seen.header("Origin") for seen in one.seen]


async def test_cors_of_the_plugin_alone_is_fine(service: Make, doctor: Doctor) -> None:
    one = await service(well)
    found = await doctor.one("cors", WITH_CORS.format(url=one.url))
    assert found["severity"] == "fine"


async def test_a_service_that_lets_any_page_in_is_a_problem(service: Make, doctor: Doctor) -> None:
    found = await doctor.one("cors", alone((await service(reflects)).url))
    assert (found["severity"], "any origin" in found["summary"]) == ("problem", True)
    assert line_of(found) == 'plugins: [{cors: {origins: ["https://app.example.com"]}}]'


async def test_a_doubled_header_is_a_problem(service: Make, doctor: Doctor) -> None:
    both = ("Access-Control-Allow-Origin: *", "Access-Control-Allow-Origin: https://a.example")
    one = await service(lambda _seen: answer(200, *both))
    found = await doctor.one("cors", alone(one.url))
    assert (found["severity"], "more than once" in found["summary"]) == ("problem", True)


async def test_cors_of_the_service_alone_is_fine(service: Make, doctor: Doctor) -> None:
    one = await service(lambda _seen: answer(200, "Access-Control-Allow-Origin: https://a.example"))
    found = await doctor.one("cors", alone(one.url))
    assert (found["severity"], "no plugin does" in found["summary"]) == ("fine", True)
