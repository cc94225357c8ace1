"""`brain routes`: what is sent, not only where."""

from __future__ import annotations

from pathlib import Path

from proxy.cli.routes import table
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
