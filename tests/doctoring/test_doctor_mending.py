"""The line that mends something, put where it says, is what the files then mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config.load import Loaded, load
from proxy.doctoring.mending import Mend, mended
from proxy.doctoring.subjects import subjects
from proxy.plugin.catalog import Catalog

CRM = ("services", "crm")
ROUTE = ("services", "crm", "routes", 0)
WHOLE = """\
version: 1
gateway: {listen: ":8080"}
services:
  crm:
    upstream: {url: "http://crm:8003/api"}
    public: true
    routes:
      - match: {path: /items}
"""
SHORT = """\
version: 1
plugins: [{api-key: {keys: [{name: a, sha256: "%s"}]}}]
services:
  crm: ${CRM_URL:-http://crm:8003/api}
fallback: http://old:8000
""" % ("0" * 64)


def loaded(folder: Path, text: str) -> Loaded:
    file = folder / "routes.yaml"
    file.write_text(text)
    found = load([file], environment={}, catalog=Catalog(), keep_tree=True)
    assert found.config is not None, found.render()
    return found


def applied(text: str, mend: Mend) -> str:
    """Do what a person would: replace the line, or put the new one inside of what it names."""
    lines = text.split("\n")
    at = mend.place.line - 1
    old = lines[at]
    indent = " " * (mend.place.column - 1)
    if mend.where == "instead of this key":
        assert "{" not in old[: mend.place.column - 1]
        lines[at] = indent + mend.line
    elif mend.where == "at the top level":
        lines.append(mend.line)
    elif old.lstrip().startswith("- "):
        lines.insert(at + 1, f"{indent}{mend.line}")
    elif old.rstrip().endswith("}"):
        lines[at] = f"{old.rstrip()[:-1]}, {mend.line}}}"
    else:
        lines.insert(at + 1, f"{indent}  {mend.line}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "path", "value", "line", "where"),
    [
        (
            WHOLE,
            (*CRM, "upstream", "keepalive"),
            "1s",
            "keepalive: 1s",
            "in services.crm.upstream",
        ),
        (WHOLE, (*CRM, "host"), "localhost", "host: localhost", "in services.crm"),
        (WHOLE, (*CRM, "public"), "optional", "public: optional", "instead of this key"),
        (WHOLE, (*ROUTE, "rewrite"), "/items/", "rewrite: /items/", "in services.crm.routes[0]"),
        (
            WHOLE,
            ("gateway", "limits", "header_field"),
            "7KiB",
            "limits: {header_field: 7KiB}",
            "in gateway",
        ),
        (
            SHORT,
            ("gateway", "limits", "header_field"),
            "7KiB",
            "gateway: {limits: {header_field: 7KiB}}",
            "at the top level",
        ),
        (
            SHORT,
            (*CRM, "upstream", "keepalive"),
            "1s",
            'crm: {upstream: {url: "${CRM_URL:-http://crm:8003/api}", keepalive: 1s}}',
            "instead of this key",
        ),
        (
            SHORT,
            (*CRM, "host"),
            "localhost",
            'crm: {upstream: "${CRM_URL:-http://crm:8003/api}", host: localhost}',
            "instead of this key",
        ),
        (
            SHORT,
            ("fallback", "upstream", "tls", "server_name"),
            "old.example",
            'fallback: {upstream: {url: "http://old:8000", tls: {server_name: old.example}}}',
            "instead of this key",
        ),
    ],
)
def test_a_line_says_what_it_should_where_it_is_put(
    tmp_path: Path, text: str, path: tuple[str | int, ...], value: str, line: str, where: str
) -> None:
    root = loaded(tmp_path, text).root
    assert root is not None
    mend = mended(root, path, value)
    assert (mend.line, mend.where) == (line, where)
    if path[-1] == "public":
        return  # needs an authenticator too
    after = loaded(tmp_path, applied(text, mend)).root
    assert after is not None
    again = mended(after, path, value)
    assert (again.line, again.where) == (f"{path[-1]}: {value}", "instead of this key")


def test_an_address_that_is_an_upstream_alone_becomes_a_mapping(tmp_path: Path) -> None:
    text = "version: 1\nservices:\n  crm:\n    upstream: http://crm\n    public: true\n"
    root = loaded(tmp_path, text).root
    assert root is not None
    mend = mended(root, (*CRM, "upstream", "keepalive"), "1s")
    assert mend.line == 'upstream: {url: "http://crm", keepalive: 1s}'
    config = loaded(tmp_path, applied(text, mend)).config
    assert config is not None
    assert config.upstreams[0].keepalive == 1.0


# -- which upstreams there are

EVERY = """\
version: 1
services:
  crm:
    aliases: [django-crm, /whole/prefix]
    upstream: http://crm:8003/api
    public: true
    split: [{upstream: "http://next:1", share: 5%}]
    routes:
      - match: {method: POST, path: /items}
      - match: {path: "/items/{id}"}
        mirror: {upstream: "http://copy:1", share: 1%}
      - match: {path: /elsewhere/*}
        upstream: {url: "http://other:1"}
        name: away
  tasks: {upstream: service/crm, public: true}
  bare: {upstream: "http://bare", public: true, strip: false}
routes:
  - {match: {path: /graphql}, upstream: service/crm, public: true, rewrite: /graphql/}
fallback: {upstream: "http://old", public: true}
"""


def test_every_upstream_is_there_once_with_its_owner_and_names(tmp_path: Path) -> None:
    found = loaded(tmp_path, EVERY)
    assert found.config is not None
    assert found.root is not None
    every = {one.spec.name: one for one in subjects(found.config, found.root)}
    owners = {name: ".".join(map(str, one.owner)) for name, one in every.items()}
    assert owners == {
        "crm": "services.crm",
        "bare": "services.bare",
        "crm to next:1": "services.crm.split.0",
        "crm/items/{id} to copy:1": "services.crm.routes.1.mirror",
        "away": "services.crm.routes.2",
        "fallback": "fallback",
    }
    assert every["crm"].services == ("crm", "tasks")
    assert every["crm"].place.line == 3
    assert [(one.path, one.exact, one.writes) for one in every["crm"].known] == [
        ("/api/items", True, True),
        ("/api/graphql/", True, True),
        ("/api", False, True),
    ]
    assert [one.path for one in every["bare"].known] == ["/api/brain/bare", "/"]
    assert [one.path for one in every["away"].known] == ["/elsewhere", "/"]
