"""The shipped file as the bench starts it: whole, but for what another server is needed for."""

from pathlib import Path

from bench import shipped
from proxy.config.load import load_or_raise
from proxy.config.models import SecretStores
from proxy.plugin.catalog import Catalog


def test_no_store_is_left_and_no_service_is_missing(tmp_path: Path) -> None:
    catalog = Catalog()
    whole = load_or_raise([shipped.FILE], environment={}, catalog=catalog).config
    files = [shipped.FILE, shipped.without_servers(tmp_path)]
    less = load_or_raise(files, environment={}, catalog=catalog).config
    assert whole is not None
    assert less is not None
    assert less.secrets == SecretStores() != whole.secrets
    assert [each.name for each in less.services] == [each.name for each in whole.services]
    assert {each.identity for each in whole.entries} - {each.identity for each in less.entries} == {
        "credentials"
    }
