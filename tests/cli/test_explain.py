"""`brain explain`, as somebody at a terminal sees it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from proxy.cli.explain import explain
from proxy.config.load import load_or_raise
from proxy.config.models import RouteSpec
from proxy.plugin.catalog import Catalog
from tests.cli.kit import ROOT, brain

TEXT = f"""\
version: 1
gateway: {{base_path: /api}}
defaults:
  timeouts: {{response: 20s}}
plugins:
  - request-id
  - api-key: {{keys: [{{name: ada, sha256: "{"0" * 64}"}}]}}
services:
  shop:
    aliases: [store]
    upstream: http://shop:8000/base
    limits: {{request_body: 1MiB}}
    routes:
      - name: item
        match: {{method: GET, path: "/items/{{id}}"}}
        timeouts: {{connect: 500ms}}
      - name: new
        match: {{method: POST, path: /items/new, header: {{X-Kind: "v1*"}}}}
        public: true
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "routes.yaml").write_text(TEXT)
    return tmp_path


def run(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(explain, arguments, input=given)


GOLDEN = (Path(__file__).parent / "explain.txt").read_text(encoding="utf-8")


def test_a_request_is_explained_step_by_step() -> None:
    found = run("GET", "/api/store/items/7?q=1", "-H", "Accept: */*", "-H", "Connection: close")
    assert found.exit_code == 0
    assert found.stdout == GOLDEN


def test_the_files_come_behind_the_path(folder: Path) -> None:
    (folder / "one.yaml").write_text(TEXT)
    (folder / "two.yaml").write_text("services: {shop: {public: true}}\n")
    found = run("GET", "/api/shop", "one.yaml", "two.yaml", "--json")
    assert json.loads(found.stdout)["route"]["access_from"]["place"] == "two.yaml:1"


KEYS = {
    "request": "method asked_method target path query host client scheme trusted_proxy headers",
    "route": "name service place fallback match prefix alias rank why access access_from "
    "authenticators values",
    "caller": "subject tenant roles scopes by verified",
    "outgoing": "method target balance targets headers dropped",
}
TOP = (
    "request answer page plugin_page route near_misses nearest caller chain outgoing split mirror "
    "retries settings"
)


def test_json_has_the_documented_keys(folder: Path) -> None:
    (folder / "claims.json").write_text('{"sub": "ada"}')
    found = json.loads(run("GET", "/api/shop/items/7", "--claims", "claims.json", "--json").stdout)
    assert " ".join(found) == TOP
    page = (ROOT / "docs" / "explain.md").read_text(encoding="utf-8")
    for name, keys in KEYS.items():
        assert " ".join(found[name]) == keys
    every = set(" ".join([TOP, *KEYS.values()]).split())
    for part in ("near_misses", "chain", "retries", "settings"):
        every |= set(found[part][0]) if found[part] else set()
    assert {key for key in every if f"`{key}`" not in page} == set()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["GET", "/api/shop/items/7"], 0),
        (["GET", "/elsewhere"], 1),
        (["PUT", "/api/shop/%2e%2e/x"], 1),
        (["OPTIONS", "*"], 0),
        (["GET"], 2),
        (["GET", "api/shop"], 2),
        (["GET", "/api/shop\r\nX: y"], 2),
        (["GET", "/api/shop", "-H", "no-colon"], 2),
        (["GET", "/api/shop", "-H", ": no name"], 2),
        (["GET", "/api/shop", "-H", "A: b\nC: d"], 2),
        (["GET", "/api/shop", "--from", "somewhere"], 2),
        (["GET", "/api/shop", "--claims", "nowhere.json"], 2),
        (["GET", "/api/shop", "nowhere.yaml"], 1),
    ],
)
def test_the_exit_code_says_how_it_went(arguments: list[str], code: int) -> None:
    found = run(*arguments)
    assert found.exit_code == code
    assert found.exception is None or isinstance(found.exception, SystemExit)


def test_a_bad_file_is_its_diagnostics_on_stderr(folder: Path) -> None:
    (folder / "routes.yaml").write_text("version: 1\nservices: {a: http://a}\n")
    found = run("GET", "/")
    assert (found.exit_code, found.stdout) == (1, "")
    assert "BG210" in found.stderr


def token(claims: dict[str, Any]) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{payload}.sig"


@pytest.mark.parametrize("by_stdin", [False, True])
def test_a_token_is_taken_on_trust_and_said_to_be(by_stdin: bool) -> None:
    given = token({"sub": "ada", "tenant_id": "acme"})
    found = run("GET", "/api/shop", "--token", "-" if by_stdin else given, given=given)
    assert found.exit_code == 0
    assert "not checked" in found.stderr
    assert "subject  ada" in found.stdout
    assert "nothing was verified" in found.stdout
    assert given not in found.output
    assert given.split(".")[1] not in found.output


WHO_MAY = f"""\
version: 1
plugins:
  - ip-filter: {{deny: [192.0.2.0/24]}}
  - api-key: {{keys: [{{name: ada, sha256: "{"0" * 64}"}}]}}
  - authorize: {{allow: [{{methods: [GET], scopes: ["crm:read"]}}, {{roles: [admin]}}]}}
  - identity-headers
services:
  crm: http://crm
"""


def test_claims_show_whether_the_caller_may_and_what_the_upstream_is_told(folder: Path) -> None:
    (folder / "routes.yaml").write_text(WHO_MAY)
    claims = {"sub": "ada", "tenant": "acme", "groups": ["Partner"], "email": "ada@acme.example"}
    told = ""
    for method, scope in (("GET", "crm:read"), ("DELETE", "crm:write")):
        given = json.dumps({**claims, "scope": scope})
        found = run(method, "/api/brain/crm/x", "--claims", "-", given=given)
        assert found.exit_code == 0
        told += found.stdout.partition("caller\n")[2].partition("outgoing\n")[0]
    assert told == Path(__file__).with_name("explain_claims.txt").read_text(encoding="utf-8")


def test_where_a_token_is_looked_for_is_not_hidden(folder: Path) -> None:
    (folder / "jwt.yaml").write_text(
        "version: 1\n"
        "plugins: [{jwt: {issuer: 'https://sso.example.com/', audience: brain, cookie: door}}]\n"
        "services: {crm: 'http://crm:8003'}\n"
    )
    said = run("GET", "/api/brain/crm/x", "jwt.yaml").stdout
    assert "the header Authorization (Bearer) or the WebSocket subprotocol brain.bearer" in said
    assert "the cookie door" in said


def test_claims_come_from_stdin_too() -> None:
    found = run("GET", "/api/shop", "--claims", "-", "--json", given='{"sub": "ada"}')
    assert json.loads(found.stdout)["caller"]["subject"] == "ada"


@pytest.mark.parametrize("given", ['{"tenant": "secret-value"}', "secret-value", "[]"])
def test_bad_claims_are_a_usage_error_that_repeats_nothing(given: str) -> None:
    for option in ("--claims", "--token"):
        found = run("GET", "/api/shop", option, "-", given=given)
        assert found.exit_code == 2
        assert "secret-value" not in found.output


def test_claims_and_a_token_exclude_each_other() -> None:
    found = run("GET", "/api/shop", "--claims", "-", "--token", "x", given="{}")
    assert (found.exit_code, "give one of them" in found.stderr) == (2, True)


def test_near_misses_and_405_are_told_in_words() -> None:
    found = run("POST", "/api/shop/items/new", "-H", "X-Kind: v2").stdout
    assert "- header x-kind is v2, not v1*" in found
    assert "- method is POST, not GET or HEAD" in found
    assert "header x-kind is absent, not v1*" in run("POST", "/api/shop/items/new").stdout


def test_what_the_parser_refuses_is_told_in_words() -> None:
    found = run("GET", "/a b", "-H", "X-A: 1").stdout
    assert found.startswith("request\n  GET /a b\n  host    none\n")
    assert "answer\n  400 bad_request: The request is not valid HTTP/1.1\n" in found
    assert "header  X-A: 1" in found
    assert "matched as" not in found


def test_a_preflight_and_another_spelling_of_a_path_say_what_they_are_matched_as() -> None:
    asked = ("-H", "Access-Control-Request-Method: POST", "-H", "X-Kind: v1")
    found = run("OPTIONS", "/api/%73hop/items/new", *asked).stdout
    assert "matched as  POST, which this preflight asks for" in found
    assert "matched as  /api/shop/items/new" in found
    (access,) = (line for line in found.splitlines() if "nobody is asked who calls" in line)
    assert access.endswith("routes.yaml:19")


def test_claims_that_nobody_asks_for_are_said_not_to_be_used() -> None:
    found = run(
        "POST", "/api/shop/items/new", "-H", "X-Kind: v1", "--claims", "-", given='{"sub":"a"}'
    )
    assert "the claims are not used" in found.stderr


def test_a_path_below_the_base_may_be_a_plugins_page() -> None:
    assert "a plugin may have a page of its own here" in run("GET", "/api/_mine").stdout
    assert "a plugin may have" not in run("GET", "/api/mine").stdout


def test_it_is_a_command_of_the_real_program(folder: Path) -> None:
    found = brain("explain", "GET", "/api/shop/items/7", "--json", cwd=folder)
    assert (found.returncode, found.stderr) == (0, "")
    assert json.loads(found.stdout)["route"]["name"] == "item"


# -- the shipped file


def shipped() -> list[RouteSpec]:
    config = load_or_raise([ROOT / "routes.yaml"], environment={}, catalog=Catalog()).config
    assert config is not None
    return [*config.routes, *([config.fallback] if config.fallback else [])]


@pytest.mark.parametrize(
    ("route", "prefix"),
    [(route, prefix) for route in shipped() for prefix in route.prefixes],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_every_route_of_the_shipped_file_is_explained(
    route: RouteSpec, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    for name in ("BRAIN_TRUSTED_PROXIES", "BRAIN_CORS_ORIGINS", "BRAIN_API_KEY_SHA256"):
        monkeypatch.delenv(name, raising=False)
    path = route.match.path.text.replace("*", "some/thing" if prefix else "some-where")
    method = min(route.match.methods, default="GET")
    told = json.loads(run(method, f"{prefix}{path}?x=1", "--json").stdout)
    assert told["route"]["name"] == route.name
    assert told["route"]["place"] == f"routes.yaml:{route.place.line}"
    assert [step["error"] for step in told["chain"]] == [None] * len(told["chain"])
    assert all(step["explains"] for step in told["chain"])
    assert told["outgoing"]["target"].endswith("?x=1")
    assert told["outgoing"]["targets"][0]["place"].startswith("routes.yaml:")
    asks = route.access.value == "required"
    assert (told["answer"] or {}).get("code") == ("credentials_missing" if asks else None)
    text = run(method, f"{prefix}{path}?x=1")
    assert text.exit_code == 0
    assert route.name in text.stdout


def test_a_plugin_of_the_folder_explains_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own").mkdir()
    Path("own/greet.py").write_text(
        "from proxy import Plugin\n"
        "class Greet(Plugin):\n"
        "    def explain(self, exchange):\n"
        "        return ['says hello']\n"
    )
    Path("routes.yaml").write_text(
        "version: 1\nplugins_dir: own\nplugins: [greet]\n"
        "services: {a: {upstream: http://a, public: true}}\n"
    )
    told = json.loads(run("GET", "/api/brain/a/x", "--json").stdout)
    assert [step["explains"] for step in told["chain"]] == [["says hello"]]
