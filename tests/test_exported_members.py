"""The public list is frozen: what stands here is what plugins may count on."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import proxy
from proxy.version import VERSION

ROOT = Path(__file__).parent.parent

PUBLIC = [
    "Answer",
    "Attempt",
    "Authenticator",
    "BoundSecret",
    "CONTRACT",
    "Client",
    "ConfigError",
    "EXCHANGE",
    "Exchange",
    "GatewayError",
    "GatewayStatus",
    "Handler",
    "KeptSecret",
    "KeptStore",
    "KeySet",
    "Once",
    "OptionFile",
    "Origin",
    "Outgoing",
    "Plugin",
    "PluginContext",
    "PreparedHeaders",
    "Principal",
    "Problem",
    "Problems",
    "STORE_SCHEMA",
    "Secret",
    "SecretAway",
    "SecretConflict",
    "SecretError",
    "SecretForbidden",
    "SecretMissing",
    "SecretPath",
    "SecretRef",
    "Stage",
    "Store",
    "TargetStatus",
    "Template",
    "TenantHosts",
    "Unauthenticated",
    "Unavailable",
    "UpstreamStatus",
    "VerifyingKey",
    "jws_bytes",
    "jws_object",
    "key_of",
    "printable",
    "render",
    "value_in_path",
    "write_lines",
]


def test_the_public_list_is_what_it_was() -> None:
    assert sorted(proxy.__all__) == sorted(PUBLIC)
    assert proxy.CONTRACT == 1


def test_every_public_name_is_there_and_listed() -> None:
    for name in proxy.__all__:
        assert getattr(proxy, name) is not None
    assert dir(proxy) == sorted(PUBLIC)


def test_what_type_checkers_see_is_what_runs() -> None:
    tree = ast.parse((ROOT / "proxy" / "__init__.py").read_text())
    (checked,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: node.module
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }
    assert seen == proxy._HOMES
    assert {*seen, "CONTRACT"} == set(PUBLIC)


def test_a_name_that_is_not_public_is_said_to_be_missing() -> None:
    assert not hasattr(proxy, "Snapshot")


def test_importing_the_package_imports_no_library() -> None:
    script = "import sys, proxy; print(sorted({'aiohttp', 'yaml', 'msgspec'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_the_version_is_the_distributions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
