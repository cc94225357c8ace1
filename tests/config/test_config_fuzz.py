"""Whatever is thrown at the loader: a config or diagnostics, soon, and never an exception."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.config.load import Loaded, load
from proxy.plugin.catalog import Catalog

HERE = Path(__file__).parent
BOUNDED = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

WORDS = st.sampled_from(
    [
        *("http://x", "http://x/a", "service/a", "service/b", "/x", "/x/*", "/{a}/b", "GET"),
        *("jwt", "cors", "limit", "headers", "request-id", "nope", "5s", "1MiB", "10.0.0.0/8"),
        *(":8080", "all", "optional", "${A}", "${B:-x}", "${claims.sub}", "$${x}", "${", "*", ""),
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=5)
NAMES = st.sampled_from(
    [
        *("upstream", "url", "targets", "path", "routes", "match", "plugins", "skip", "public"),
        *("aliases", "timeouts", "limits", "rewrite", "host", "method", "header", "as", "use"),
        *("with", "jwt", "cors", "limit", "headers", "set", "rate", "issuer", "a", "b", "tls"),
        *("forward_cookies", "<<", "x-a", "listen", "expose", "trusted_proxies"),
    ]
)
TREES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(NAMES, below, max_size=4),
    max_leaves=25,
)
NAMED = ("gateway", "log", "defaults", "plugins", "services", "routes", "fallback", "include")
SECTIONS = st.fixed_dictionaries(
    {"version": st.just(1)}, optional=dict.fromkeys((*NAMED, "plugins_dir", "x-a", "other"), TREES)
)


def outcome(loaded: Loaded) -> None:
    """Exactly one of the two, and all of it can be shown."""
    assert (loaded.config is None) == loaded.failed
    assert loaded.render().count("\n") >= len(loaded.diagnostics)


def put(folder: Path, content: bytes, catalog: Catalog) -> Loaded:
    file = folder / "routes.yaml"
    file.write_bytes(content)
    return load([file], environment={"A": "${B}"}, catalog=catalog)


@BOUNDED
@given(st.binary(max_size=200))
def test_bytes_are_no_surprise(tmp_path: Path, catalog: Catalog, content: bytes) -> None:
    outcome(put(tmp_path, content, catalog))


@BOUNDED
@given(st.text("{}[]&*!|>%@-:,?#'\"\\\n\t ab01$~<.", max_size=80))
def test_yamls_own_signs_are_no_surprise(tmp_path: Path, catalog: Catalog, content: str) -> None:
    outcome(put(tmp_path, content.encode(), catalog))


@BOUNDED
@given(SECTIONS)
def test_trees_are_no_surprise(tmp_path: Path, catalog: Catalog, tree: dict[str, Any]) -> None:
    content = json.dumps(tree, allow_nan=True).encode("utf-8", "replace")
    outcome(put(tmp_path, content, catalog))


@BOUNDED
@given(TREES)
def test_a_tree_of_another_kind_is_no_surprise(tmp_path: Path, catalog: Catalog, tree: Any) -> None:
    outcome(put(tmp_path, json.dumps(tree).encode("utf-8", "replace"), catalog))


@BOUNDED
@given(st.data())
def test_a_good_file_with_a_few_bytes_changed_is_no_surprise(
    tmp_path: Path, catalog: Catalog, data: st.DataObject
) -> None:
    content = bytearray((HERE / "everything.yaml").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=4))
    outcome(put(tmp_path, bytes(content), catalog))


@pytest.mark.parametrize("name", ["structure.yaml", "plugins.yaml", "everything.yaml"])
def test_a_file_cut_anywhere_is_no_surprise(tmp_path: Path, catalog: Catalog, name: str) -> None:
    content = (HERE / name).read_bytes()
    for end in range(0, len(content), 23):
        outcome(put(tmp_path, content[:end], catalog))
