"""The shipped routes.yaml and the stand-ins agree, and nothing in the file is open by accident."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from proxy.demo.issuer import TENANTS
from proxy.demo.keys import CREDENTIALS
from proxy.demo.stand_ins import HOSTS, UPSTREAMS, StandIns

FILE = Path(__file__).parents[2] / "routes.yaml"
TEXT = FILE.read_text(encoding="utf-8")
SETTINGS = re.sub(r"^\s*#.*$", "", TEXT, flags=re.MULTILINE)  # the examples in comments left out
VARIABLES = dict(re.findall(r"\$\{([A-Z0-9_]+):-([^}]*)\}", SETTINGS))


@pytest.fixture(scope="module")
def routes() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(TEXT)
    return loaded


def test_every_value_of_the_environment_has_a_default() -> None:
    assert re.findall(r"\$\{([A-Z0-9_]+)\b", SETTINGS) == list(VARIABLES)


@pytest.mark.parametrize("variable", UPSTREAMS)
def test_a_default_names_the_host_that_is_stood_in_for(variable: str) -> None:
    default = urlsplit(VARIABLES[variable])
    assert (default.hostname, default.path) == UPSTREAMS[variable]


def test_every_upstream_of_the_file_has_a_stand_in() -> None:
    services = {name for name in VARIABLES if name.endswith("_URL")}
    assert services | {"BRAIN_ISSUER"} == set(UPSTREAMS)
    assert {host for host, _ in UPSTREAMS.values()} == set(HOSTS)


async def test_the_environment_of_the_demo_sets_only_what_the_file_reads() -> None:
    services = StandIns()
    await services.start()
    try:
        assert set(services.environment()) <= set(VARIABLES)
    finally:
        await services.close()


def test_nobody_is_let_in_without_saying_who_calls(routes: dict[str, Any]) -> None:
    names = [
        name
        for entry in routes["plugins"]
        for name in (entry if isinstance(entry, dict) else [entry])
    ]
    assert names[names.index("jwt") :] == [
        "jwt",
        "api-key",
        "ticket",
        "rate-limit",
        "identity-headers",
    ]
    assert routes["fallback"]["forward_token"] is True  # the old gateway asks for itself
    assert SETTINGS.count("forward_token") == 1


def test_a_services_variable_is_its_name(routes: dict[str, Any]) -> None:
    for name, service in {**routes["services"], "fallback": routes["fallback"]}.items():
        upstream = service if isinstance(service, str) else service["upstream"]
        assert upstream.startswith(f"${{{name.upper().replace('-', '_')}_URL:-")


def test_the_demo_keeps_what_the_services_are_given(routes: dict[str, Any]) -> None:
    given = [
        entry["credentials"]["secret"]
        for service in routes["services"].values()
        for entry in (service.get("plugins", ()) if isinstance(service, dict) else ())
        if "credentials" in entry
    ]
    paths = {path.replace("${principal.tenant}", tenant) for path in given for tenant in TENANTS}
    assert paths == set(CREDENTIALS)


def test_calls_with_the_key_are_a_tenants(routes: dict[str, Any]) -> None:
    (entry,) = [each for each in routes["plugins"] if "api-key" in each and isinstance(each, dict)]
    (key,) = entry["api-key"]["keys"]
    assert key["tenant"] == "${BRAIN_API_KEY_TENANT:-portal}"


def test_only_published_pages_are_public(routes: dict[str, Any]) -> None:
    public = {"match": {"method": "GET", "path": "/pages/*"}, "public": True}
    assert routes["services"]["wagtail"]["routes"] == [public]
    assert SETTINGS.count("public:") == 1


def test_without_an_environment_no_key_opens_the_gateway() -> None:
    assert VARIABLES["BRAIN_API_KEY_SHA256"] == "0" * 64
    assert VARIABLES["BRAIN_CORS_ORIGINS"] == ""
    assert VARIABLES["BRAIN_TRUSTED_PROXIES"] == ""


def test_editors_find_the_schema_by_the_first_line() -> None:
    first = TEXT.splitlines()[0]
    assert first == "# yaml-language-server: $schema=./schemas/routes.schema.json"
