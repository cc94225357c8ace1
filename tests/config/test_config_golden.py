"""Each YAML file of this folder, beside what is said of it: `name.yaml` and `name.txt`."""

from pathlib import Path

import pytest

from proxy.config.load import load
from proxy.plugin.catalog import Catalog

HERE = Path(__file__).parent
FILES = sorted(path.name for path in HERE.glob("*.yaml"))
ENVIRONMENT = {
    "HOST": "crm",
    "NUMBER": "17",
    "PORT": "",
    "PROXIES": "10.0.0.1, 10.0.0.2",
    "WORD": "many",
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_gets_exactly_these_diagnostics(
    name: str, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(HERE)
    loaded = load([name], environment=ENVIRONMENT, catalog=catalog)
    expected = Path(name).with_suffix(".txt").read_text(encoding="utf-8")
    assert loaded.render() + "\n" == expected
    assert (loaded.config is None) == ("error[" in expected)
