"""`brain check`, `brain routes` and `brain schema`, as somebody at a terminal sees them."""

import asyncio
import json
import socket
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from proxy.cli.check import check, painted
from proxy.cli.reach import with_reachability
from proxy.cli.routes import routes
from proxy.cli.schema import plugins_schema, schema, whole_schema
from proxy.config.load import load
from proxy.plugin.catalog import GROUP, Catalog

ROOT = Path(__file__).parents[2]
GOOD = "version: 1\nservices:\n  a: {upstream: http://a, public: true}\n"
BAD = "version: 1\nservices:\n  a: http://a\n"
UNWISE = GOOD + "gateway: {trusted_proxies: [0.0.0.0/0]}\n"


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch, catalog: Any) -> None:
    monkeypatch.setattr("proxy.plugin.catalog.Catalog", lambda: catalog)


def first_party() -> Catalog:
    """The catalog of this checkout, whether or not it is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    points = project["entry-points"][GROUP]
    return Catalog([EntryPoint(name, value, GROUP) for name, value in points.items()])


def run(command: Any, *arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(command, arguments, env=environment)


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [
        (GOOD, [], 0),
        (BAD, [], 1),
        (UNWISE, [], 0),
        (UNWISE, ["--fail-on", "warning"], 1),
        (GOOD, ["--fail-on", "warning"], 0),
        (GOOD, ["--format", "xml"], 2),
        (GOOD, ["--env-file", "nowhere"], 2),
    ],
)
def test_the_exit_code_says_how_it_went(
    write: Any, text: str, options: list[str], code: int
) -> None:
    write.file("routes.yaml", text)
    assert run(check, *options).exit_code == code


def test_check_prints_diagnostics_and_the_count(write: Any) -> None:
    write.file("routes.yaml", BAD)
    found = run(check)
    assert found.stdout.startswith("error[BG210]: service 'a' lets anyone in")
    assert found.stdout.endswith("1 error in routes.yaml (1 service)\n")
    assert found.stderr == ""


def test_check_names_each_of_several_files(write: Any) -> None:
    write.file("one.yaml", GOOD)
    write.file("two.yaml", "services: {a: {public: false}}\n")
    assert "--> one.yaml:3:3" in run(check, "one.yaml", "two.yaml").stdout


@pytest.mark.parametrize("options", [["--json"], ["--format", "json"]])
def test_check_writes_json(write: Any, options: list[str]) -> None:
    write.file("routes.yaml", BAD)
    told = json.loads(run(check, *options).stdout)
    assert [each["code"] for each in told["diagnostics"]] == ["BG210"]


def test_check_writes_githubs_annotations(write: Any) -> None:
    write.file("routes.yaml", BAD)
    assert run(check, "--format", "github").stdout.startswith("::error file=routes.yaml,line=3,")


def test_an_env_file_replaces_the_environment(write: Any) -> None:
    write.file("routes.yaml", 'version: 1\nlog: {level: "${LEVEL}"}\n')
    write.file("good.env", "# levels\n\nexport LEVEL='debug'\n")
    write.file("bad.env", "LEVEL debug\n")
    assert run(check, LEVEL="loud").exit_code == 1
    assert run(check, "--env-file", "good.env", LEVEL="loud").exit_code == 0
    refused = run(check, "--env-file", "bad.env")
    assert (refused.exit_code, "bad.env:1 is not NAME=value" in refused.stderr) == (2, True)


def test_no_plugins_runs_none_of_their_code(write: Any, catalog: Any) -> None:
    write.file("routes.yaml", "version: 1\nplugins: [fails]\n")
    assert run(check).exit_code == 1
    catalog.asked.clear()
    assert run(check, "--no-plugins").exit_code == 0
    assert catalog.asked == []


def test_colour_is_left_out_for_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert painted("error[BG001]: x\n  y") == "\x1b[31m\x1b[1merror[BG001]\x1b[0m: x\n  y"
    monkeypatch.setenv("NO_COLOR", "1")
    assert painted("error[BG001]: x") == "error[BG001]: x"


async def test_connect_tells_which_upstreams_can_not_be_reached(write: Any) -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"this is no TLS")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        up, down = server.sockets[0].getsockname()[1], unused.getsockname()[1]
        text = "version: 1\nservices:\n"
        for name, scheme, port in (
            ("up", "http", up),
            ("plain", "https", up),
            ("down", "http", down),
        ):
            text += f"  {name}: {{upstream: '{scheme}://127.0.0.1:{port}', public: true}}\n"
        loaded = write.text(text)
        found = await asyncio.to_thread(with_reachability, loaded)
    server.close()
    await server.wait_closed()
    assert [str(each.span) for each in found.diagnostics] == ["routes.yaml:4:3", "routes.yaml:5:3"]
    assert {each.code.value for each in found.diagnostics} == {"BG220"}
    assert "TLS" in found.diagnostics[0].message
    assert found.failed


def test_connect_does_not_try_a_host_that_there_is_not(write: Any) -> None:
    loaded = write.text(
        'version: 1\nservices:\n  shops: {upstream: "https://shops.invalid", public: true}\n'
    )
    assert with_reachability(loaded).diagnostics == loaded.diagnostics


def test_connect_asks_nothing_for_a_bad_file(write: Any) -> None:
    loaded = write.text(BAD)
    assert with_reachability(loaded) is loaded


TABLE = """version: 1
plugins: [request-id, jwt: {issuer: x}]
services:
  a:
    upstream: {targets: [http://a, http://b], path: /base}
    aliases: [z]
    public: optional
    routes:
      - {match: {path: /x, method: [POST, GET], host: h, header: {v: "1*"}, query: {q: false}}}
fallback: {upstream: http://old, public: true}
"""


def test_routes_prints_an_aligned_table(write: Any) -> None:
    write.file("routes.yaml", TABLE)
    lines = run(routes).stdout.splitlines()
    assert lines[0].split() == ["MATCH", "UPSTREAM", "ACCESS", "MAY", "CHAIN", "PLACE"]
    column = lines[0].index("UPSTREAM")
    assert [line[:column].strip() for line in lines[1:]] == [
        "GET,POST /api/brain/a/x host=h header:v=1* query:q absent",
        "GET,POST /api/brain/z/x host=h header:v=1* query:q absent",
        "* /api/brain/a/*",
        "* /api/brain/z/*",
        "* /*",
    ]
    assert lines[1][column:].startswith("http://a/base (+1)  optional: jwt  -    request-id")
    assert lines[5][column:].split()[:2] == ["http://old", "public"]
    assert lines[1].endswith("routes.yaml:9")


def test_routes_prints_json(write: Any) -> None:
    write.file("routes.yaml", TABLE)
    rows = json.loads(run(routes, "--json").stdout)
    assert rows[-1] == {
        "name": "fallback",
        "service": None,
        "match": "* /*",
        "upstream": "http://old",
        "split": [],
        "mirror": None,
        "access": "public",
        "may": [],
        "chain": ["request-id"],
        "place": "routes.yaml:10",
    }


def test_routes_of_a_bad_file_are_its_diagnostics_on_stderr(write: Any) -> None:
    write.file("routes.yaml", BAD)
    found = run(routes)
    assert (found.exit_code, found.stdout) == (1, "")
    assert "BG210" in found.stderr


def test_the_schema_holds_the_installed_plugins(catalog: Any) -> None:
    made = json.loads(run(schema).stdout)
    jsonschema.Draft7Validator.check_schema(made)
    validator = jsonschema.Draft7Validator(made)
    assert validator.is_valid({"version": 1, "plugins": ["cors", {"cors": {"max_age": "1m"}}]})
    assert not validator.is_valid({"version": 1, "plugins": [{"cors": {"age": "1m"}}]})
    assert not validator.is_valid({"version": 1, "plugins": [{"corz": {}}]})
    assert made == whole_schema(catalog)


def test_the_schema_of_plugins_says_what_a_chain_must_know() -> None:
    made = json.loads(run(schema, "--plugins-only").stdout)["properties"]
    assert (made["jwt"]["x-stage"], made["jwt"]["x-authenticator"]) == ("AUTHENTICATE", True)
    assert (made["cors"]["x-stage"], made["cors"]["x-authenticator"]) == ("CORS", False)


def test_the_shipped_schema_of_plugins_is_up_to_date() -> None:
    """If not: brain schema --plugins-only > schemas/plugins.schema.json"""
    shipped = json.loads((ROOT / "schemas/plugins.schema.json").read_text(encoding="utf-8"))
    assert shipped == plugins_schema(first_party())


@pytest.mark.parametrize("run_plugins", [True, False])
def test_the_shipped_file_is_good_without_an_environment(
    monkeypatch: pytest.MonkeyPatch, run_plugins: bool
) -> None:
    monkeypatch.chdir(ROOT)
    loaded = load(["routes.yaml"], environment={}, catalog=first_party(), run_plugins=run_plugins)
    assert loaded.diagnostics == ()
    assert loaded.config is not None
