"""Asks for explanations of files that stand in a test."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from proxy.admin.exposed import readers
from proxy.config.load import load
from proxy.explaining.explain import Files, explain
from proxy.explaining.facts import Explanation
from proxy.explaining.question import Question
from proxy.explaining.told import as_json
from proxy.plugin.catalog import Catalog


def files_of(*names: str | Path, environment: Mapping[str, str] | None = None) -> Files:
    """Load files that are good."""
    given, catalog = environment or {}, Catalog()
    loaded = load(names, environment=given, catalog=catalog, keep_tree=True)
    assert loaded.config is not None, loaded.render()
    assert loaded.root is not None
    return Files(loaded.config, loaded.root, given, catalog)


def question_of(
    asked: str, *headers: str, address: str = "127.0.0.1", claims: Mapping[str, Any] | None = None
) -> Question:
    """`asked` is a method and a target, a header is `Name: value`."""
    method, target = asked.split(" ", 1)
    pairs = tuple((n, v.strip()) for n, _, v in (header.partition(":") for header in headers))
    return Question(method, target, pairs, address, claims)


class Asked:
    """A file that is asked about requests."""

    def __init__(self, file: Path, text: str, environment: Mapping[str, str]) -> None:
        file.write_text(textwrap.dedent(text))
        self.files = files_of(file, environment=environment)
        self._folder = f"{file.parent}/"

    async def facts(self, asked: str, *headers: str, **more: Any) -> Explanation:
        """Return what is known, with all values as they are."""
        question = question_of(asked, *headers, **more)
        return (await explain(self.files, question, readers(self.files.config.gateway)))[0]

    async def told(self, asked: str, *headers: str, **more: Any) -> dict[str, Any]:
        """Return what is told, places without the folder."""
        question = question_of(asked, *headers, **more)
        told = as_json(*await explain(self.files, question, readers(self.files.config.gateway)))
        shortened: dict[str, Any] = _without(self._folder, told)
        return shortened


def _without(folder: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without(folder, below) for key, below in value.items()}
    if isinstance(value, list):
        return [_without(folder, below) for below in value]
    return value.removeprefix(folder) if isinstance(value, str) else value
