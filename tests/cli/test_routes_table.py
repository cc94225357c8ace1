"""`brain routes`: what is sent, not only where."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from proxy.cli.routes import routes, table
from proxy.config.load import load_or_raise
from proxy.plugin.catalog import Catalog

TEXT = """\
version: 1
services:
  shop:
    upstream: http://shop/base
    public: true
    routes:
      - {match: {path: /one}, rewrite: /other/}
      - {match: {path: "/many/{name}/*"}, rewrite: "/items/${request.path.name}"}
"""


def test_the_upstream_shows_the_path_that_is_sent(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(TEXT)
    config = load_or_raise([file], environment={}, catalog=Catalog()).config
    assert config is not None
    assert [row["upstream"] for row in table(config)] == [
        "http://shop/base/other/",
        "http://shop/base/items/${request.path.name}/*",
        "http://shop/base",
    ]


WHO = f"""\
version: 1
plugins:
  - ip-filter: {{deny: [192.0.2.0/24]}}
  - api-key: {{keys: [{{name: ada, sha256: "{"0" * 64}"}}]}}
  - authorize: {{allow: [{{methods: [GET], scopes: ["crm:read"]}}, {{roles: [admin]}}]}}
services:
  crm:
    upstream: http://crm
    skip: [ip-filter]
    routes:
      - match: {{path: "/of/{{tenant}}"}}
        plugins: [{{authorize: {{allow: [{{tenant: {{equals: "${{request.path.tenant}}"}}}}]}}}}]
      - {{match: {{path: /any}}, skip: [authorize]}}
      - {{match: {{path: /open}}, public: true, skip: [authorize]}}
  lago: http://lago
"""


def test_it_says_who_tells_who_calls_and_which_of_them_may(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(WHO)
    config = load_or_raise([file], environment={}, catalog=Catalog()).config
    assert config is not None
    rules = "GET: scope crm:read | role admin"
    assert {row["name"]: (row["access"], row["may"]) for row in table(config)} == {
        "crm/of/{tenant}": ("api-key", ["tenant ${request.path.tenant}"]),
        "crm/any": ("api-key", []),
        "crm/open": ("public", []),
        "crm": ("api-key", [rules]),
        "lago": ("api-key", ["not from 192.0.2.0/24", rules]),
    }


def test_the_printed_table_has_a_column_of_who_may(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(WHO)
    printed = CliRunner().invoke(routes, [str(file)]).stdout
    expected = Path(__file__).with_name("routes.txt").read_text(encoding="utf-8")
    assert printed.replace(f"{tmp_path}/", "") == expected
