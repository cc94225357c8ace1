"""The chain that would run, and what its plugins say: made, and never set up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from proxy import Exchange, Plugin, PluginContext, Stage, Template
from tests.explaining.kit import Asked

Of = Callable[..., Asked]
HERE = "tests.explaining.test_explain_chain"


class Says(Plugin):
    """Says the lines of its option; its setup and its end must never come."""

    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "lines": {
                "type": "array",
                "items": {"type": "string", "format": "template"},
                "default": [],
            },
            "stage": {"type": "string", "default": "TRANSFORM"},
        },
    }

    def __init__(self, *, lines: list[Template], stage: str) -> None:
        self._lines = [line.text for line in lines]
        self.stage = Stage[stage]

    async def setup(self, context: PluginContext) -> None:
        raise AssertionError("nothing is set up")

    async def close(self) -> None:
        raise AssertionError("what was not set up needs no end")

    def explain(self, exchange: Exchange) -> list[str]:
        return self._lines


class Raises(Plugin):
    def explain(self, exchange: Exchange) -> list[str]:
        raise KeyError("a bug")


class Odd(Plugin):
    """Says things that are no list of lines."""

    schema = {"type": "object", "properties": {"what": {"type": "string"}}}

    def __init__(self, what: str) -> None:
        self._what = what

    def explain(self, exchange: Exchange) -> Any:
        exchange.outgoing.headers["X-Touched"] = "1"
        return {"text": "a\nb\x1b[31m", "none": None, "numbers": [1, 2]}[self._what]


def says(name: str, *lines: str, stage: str = "TRANSFORM") -> str:
    written = ", ".join(f"'{line}'" for line in lines)
    return f'{{use: "{HERE}:Says", as: {name}, with: {{lines: [{written}], stage: {stage}}}}}'


OWN = says(
    "own", "for ${principal.subject} of ${claims.org}", "by ${request.query.by}", "${service}"
)
TEXT = f"""\
version: 1
gateway: {{base_path: /api}}
plugins:
  - {says("inner", stage="CREDENTIALS")}
  - {says("late")}
  - request-id
  - {says("guard", stage="GUARD")}
  - api-key: {{keys: [{{name: ada, sha256: "{"0" * 64}"}}]}}
services:
  crm:
    upstream: http://crm
    plugins:
      - {OWN}
    routes:
      - {{match: {{path: /open}}, public: true, skip: [own]}}
"""


def names(told: dict[str, Any]) -> list[str]:
    return [step["identity"] for step in told["chain"]]


async def test_the_chain_is_told_in_the_order_that_runs(of: Of) -> None:
    told = await of(TEXT).told("GET /api/crm/x")
    assert names(told) == ["request-id", "guard", "api-key", "late", "own", "inner"]
    step = told["chain"][2]
    assert (step["plugin"], step["stage"], step["authenticator"], step["place"]) == (
        "api-key",
        "authenticate",
        True,
        "routes.yaml:8",
    )
    assert step["explains"][0] == "looks for one key in the header X-Api-Key"


async def test_a_public_route_asks_nobody(of: Of) -> None:
    told = await of(TEXT).told("GET /api/crm/open", claims={"sub": "ada"})
    assert names(told) == ["request-id", "guard", "late", "inner"]
    assert (told["caller"], told["answer"]) == (None, None)


async def test_what_no_route_takes_runs_the_global_chain_less_what_protects_somebody(
    of: Of,
) -> None:
    assert names(await of(TEXT).told("GET /nowhere")) == ["request-id", "guard", "late"]
    assert names(await of(TEXT).told("TRACE /nowhere")) == ["request-id"]


async def test_values_of_this_request_are_put_into_what_plugins_say(of: Of) -> None:
    claims = {"sub": "ada", "org": "acme"}
    told = await of(TEXT).told("GET /api/crm/x?by=me", claims=claims)
    assert told["chain"][4]["explains"] == ["for ada of acme", "by me", "crm"]
    told = await of(TEXT).told("GET /api/crm/x", claims={"sub": "ada"})
    assert told["chain"][4]["explains"] == [
        "for ada of ${claims.org} (missing)",
        "by ${request.query.by} (missing)",
        "crm",
    ]
    told = await of(TEXT).told("GET /api/crm/x?by=me")
    assert told["chain"][4]["explains"][0] == "for ${principal.subject} of ${claims.org}"


async def test_a_plugin_whose_explain_raises_is_told_and_stops_nothing(of: Of) -> None:
    text = f"""\
        version: 1
        services:
          crm:
            upstream: http://crm
            public: true
            plugins:
              - {{use: "{HERE}:Raises", as: raises}}
              - {says("next", "goes on")}
        """
    told = await of(text).told("GET /api/brain/crm/x")
    assert [(step["error"], step["explains"]) for step in told["chain"]] == [
        ("KeyError: 'a bug'", []),
        (None, ["goes on"]),
    ]


@pytest.mark.parametrize(
    ("what", "lines", "error"),
    [
        ("text", ["a", "b\\x1b[31m"], None),
        ("none", [], "TypeError: 'NoneType' object is not iterable"),
        ("numbers", ["1", "2"], None),
    ],
)
async def test_odd_things_that_a_plugin_says_are_told_as_well_as_can_be(
    of: Of, what: str, lines: list[str], error: str | None
) -> None:
    text = f"""\
        version: 1
        services:
          crm:
            upstream: http://crm
            public: true
            plugins: [{{use: "{HERE}:Odd", with: {{what: {what}}}}}]
        """
    told = await of(text).told("GET /api/brain/crm/x", "Accept: */*")
    (step,) = told["chain"]
    assert (step["explains"], step["error"]) == (lines, error)
    # What it does to the exchange is not taken for what is sent.
    assert told["outgoing"]["headers"][0] == {"name": "Accept", "value": "*/*", "from": "client"}
    assert "X-Touched" not in {field["name"] for field in told["outgoing"]["headers"]}


async def test_a_bare_middleware_is_told_to_be_one(of: Of) -> None:
    use = "tests.functional.plugins_for_tests:plain_middleware"
    text = f"""\
        version: 1
        services:
          crm: {{upstream: http://crm, public: true, plugins: [{{use: "{use}"}}]}}
        """
    (step,) = (await of(text).told("GET /api/brain/crm/x"))["chain"]
    assert step["explains"] == ["an aiohttp middleware, which can't say what it does"]


async def test_a_preflight_is_explained_by_cors(of: Of) -> None:
    text = """\
        version: 1
        plugins: [{cors: {origins: ["https://app.example.com"]}}]
        services:
          crm: {upstream: http://crm, public: true}
        """
    asked = ("OPTIONS /api/brain/crm/x", "Access-Control-Request-Method: PUT")
    for origin, says_first in [("https://app.example.com", "answers"), ("https://evil", "refuses")]:
        (step,) = (await of(text).told(*asked, f"Origin: {origin}"))["chain"]
        assert step["explains"][1].startswith(f"{says_first} this preflight")
